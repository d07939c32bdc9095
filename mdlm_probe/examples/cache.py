"""Answers from kept keys and values beside the exact ones. No torch."""

from __future__ import annotations

from mdlm_probe.examples import Example, Text
from mdlm_probe.examples._choice import SETTINGS, evenly, numbers, ranking
from mdlm_probe.examples._differences import differences, words
from mdlm_probe.examples._prompts import TEXT, edits, prompt, text
from mdlm_probe.examples._rows import Rows


def of(rows: Rows, limit: int) -> list[Example]:
    """For each cache the prompts with most edits, to those with the median number."""
    part = rows.frame[rows.frame["unit"] == "text"]
    part = part.assign(kept=-part["edits"])
    setting = numbers(part, ("block", "cache"))
    items = numbers(part, (*TEXT, "seed"))
    settings = evenly(list(dict.fromkeys(setting)), min(SETTINGS, limit))
    found = []
    for number in settings:
        own = part[setting == number]
        ranked = ranking(own, items, ("kept",))
        for item in evenly(ranked[: len(ranked) // 2 + 1], limit // len(settings)):
            found += [_example(rows, at) for at in own.index[items[own.index] == item]]
    return found


def _example(rows: Rows, at: int) -> Example:
    row = rows.fields(at)
    parts = (
        prompt(rows, row["model"], lambda: text(row).prompt),
        Text("exact answer", row["text_exact"]),
        differences("answer with a cache", words(row["text_exact"]), words(row["text"])),
    )
    title = f"{row['prompt']}, cache {row['cache']}, block {row['block']}: {edits(row['edits'])}"
    return Example(title, row["model"], row["task"], parts)
