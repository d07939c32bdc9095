"""Answers of one prompt on the longest canvas, right and wrong. No torch."""

from __future__ import annotations

from mdlm_probe.analysis.examples.choice import spread
from mdlm_probe.analysis.examples.parts import ExampleItem, Part, TextPart
from mdlm_probe.analysis.examples.prompts import TEXT, prompt, text
from mdlm_probe.analysis.examples.rows import Rows

SETTING = ("length", "block", "steps", "order", "threshold", "temperature", "eos", "seed")


def of(rows: Rows, limit: int) -> list[ExampleItem]:
    """Prompts from the shortest answers to the longest, on the longest canvas."""
    frame = rows.frame
    part = frame[frame["length"] == frame["length"].max()]
    return [_example(rows, at) for at in spread(part, TEXT, SETTING, ("answer_tokens",), limit)]


def _example(rows: Rows, at: int) -> ExampleItem:
    row = rows.fields(at)
    parts: list[Part] = [prompt(rows, row["model"], lambda: text(row).prompt)]
    if row.get("right"):
        parts.append(TextPart("right answer", row["right"]))
    parts.append(TextPart("answer", row["answer"] or "(nothing before the end of text)"))
    wrong = " (wrong)" if row.get("in_first_sentence") == "0" else ""
    title = f"{row['prompt']}, {row['length']} masks, {row['answer_tokens']} tokens{wrong}"
    return ExampleItem(title, row["model"], row["task"], tuple(parts))
