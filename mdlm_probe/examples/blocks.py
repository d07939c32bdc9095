"""Answers written in blocks of several sizes, and their canvases filling in. No torch."""

from __future__ import annotations

from mdlm_probe.examples import Example, Text
from mdlm_probe.examples._answers import filling
from mdlm_probe.examples._choice import spread
from mdlm_probe.examples._prompts import TEXT, prompt, text
from mdlm_probe.examples._rows import Rows

SETTING = (
    *("length", "block", "steps", "order", "threshold", "temperature", "guidance", "eos", "cache"),
    *("early_stop", "seed"),
)


def of(rows: Rows, limit: int) -> list[Example]:
    """Prompts from the least repetitive answers to the most repetitive, on the longest canvas."""
    frame = rows.frame
    part = frame[frame["length"] == frame["length"].max()]
    return [_example(rows, at) for at in spread(part, TEXT, SETTING, ("repeated",), limit)]


def _example(rows: Rows, at: int) -> Example:
    row = rows.fields(at)
    parts = [prompt(rows, row["model"], lambda: text(row).prompt)]
    if row.get("right"):
        parts.append(Text("right answer", row["right"]))
    parts += [Text("answer", row["answer"]), *filling("the canvas filling in", row)]
    wrong = " (wrong)" if row.get("correct") == "0" else ""
    title = f"{row['prompt']}, block {row['block']}, {row['steps']} steps, {row['order']}{wrong}"
    return Example(title, row["model"], row["task"], tuple(parts))
