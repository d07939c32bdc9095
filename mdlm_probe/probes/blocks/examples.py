"""Answers written in blocks of several sizes, and their canvases filling in. No torch."""

from __future__ import annotations

from mdlm_probe.analysis.examples.answers import filling
from mdlm_probe.analysis.examples.choice import spread
from mdlm_probe.analysis.examples.parts import ExampleItem, Part, TextPart
from mdlm_probe.analysis.examples.prompts import TEXT, prompt, text
from mdlm_probe.analysis.examples.rows import Rows

SETTING = (
    *("length", "block", "steps", "order", "threshold", "temperature", "guidance", "eos", "cache"),
    *("early_stop", "seed"),
)


def of(rows: Rows, limit: int) -> list[ExampleItem]:
    """Prompts from the least repetitive answers to the most repetitive, on the longest canvas."""
    frame = rows.frame
    part = frame[frame["length"] == frame["length"].max()]
    return [_example(rows, at) for at in spread(part, TEXT, SETTING, ("repeated",), limit)]


def _example(rows: Rows, at: int) -> ExampleItem:
    row = rows.fields(at)
    parts: list[Part] = [prompt(rows, row["model"], lambda: text(row).prompt)]
    if row.get("right"):
        parts.append(TextPart("right answer", row["right"]))
    parts += [TextPart("answer", row["answer"]), *filling("the canvas filling in", row)]
    wrong = " (wrong)" if row.get("correct") == "0" else ""
    title = f"{row['prompt']}, block {row['block']}, {row['steps']} steps, {row['order']}{wrong}"
    return ExampleItem(title, row["model"], row["task"], tuple(parts))
