"""Spans with what each right side adds to their likelihood. No torch."""

from __future__ import annotations

from mdlm_probe.analysis.examples.choice import evenly, numbers
from mdlm_probe.analysis.examples.parts import ExampleItem, TextPart
from mdlm_probe.analysis.examples.prompts import TEXT, prompt, text
from mdlm_probe.analysis.examples.rows import Fields, Rows
from mdlm_probe.prompts import infill
from mdlm_probe.prompts.prompt import MASK

ITEM = (*TEXT, "span_tokens")


def of(rows: Rows, limit: int) -> list[ExampleItem]:
    """Spans of the texts, evenly spread over their file, of every model."""
    part = rows.frame
    items, each = numbers(part, ITEM), numbers(part, ("model", *ITEM, "beyond"))
    chosen = evenly(list(dict.fromkeys(items)), limit)
    ordered = [one for number in chosen for one in dict.fromkeys(each[items == number])]
    return [_example(rows, each.index[each == one].tolist()) for one in ordered]


def _example(rows: Rows, own: list[int]) -> ExampleItem:
    found = [rows.fields(at) for at in own]
    row = found[0]
    asked = prompt(rows, row["model"], lambda: _prompt(rows, row))
    title = f"{row['prompt']}, span of {row['text_tokens']} tokens"
    lines = [_line(each) for each in found if each["logp"]]
    told = TextPart("log-likelihood of the span, by what stands at its right", "\n".join(lines))
    return ExampleItem(title, row["model"], row["task"], (asked, told))


def _prompt(rows: Rows, row: Fields) -> str:
    """The text with masks for the span; what follows is known by the tokenizer alone."""
    found = text(row)
    masks = "" if rows.causal(row["model"]) else MASK * int(row["text_tokens"])
    if row["span_tokens"] == "0":
        before, after = infill.parse(found.prompt, found.id).around
        return before + masks + ("" if rows.causal(row["model"]) else after)
    return found.prompt + masks


def _line(row: Fields) -> str:
    shown = f"{row['right_shown']} {row['right_from']} tokens"
    side = "nothing" if row["right_from"] == "none" else shown
    return f"{side}: {float(row['logp']):.4g} nats for {row['text_tokens']} tokens"
