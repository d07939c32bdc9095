"""Answers from kept keys and values beside the exact ones. No torch."""

from __future__ import annotations

from mdlm_probe.analysis.examples.answers import differences, words
from mdlm_probe.analysis.examples.choice import SETTINGS, evenly, numbers, ranking
from mdlm_probe.analysis.examples.parts import ExampleItem, TextPart
from mdlm_probe.analysis.examples.prompts import TEXT, edits, prompt, text
from mdlm_probe.analysis.examples.rows import Rows


def of(rows: Rows, limit: int) -> list[ExampleItem]:
    """For each cache the prompts with most edits, to those with the median number."""
    part = rows.frame.assign(kept=-rows.frame["edit_distance"])
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


def _example(rows: Rows, at: int) -> ExampleItem:
    row = rows.fields(at)
    parts = (
        prompt(rows, row["model"], lambda: text(row).prompt),
        TextPart("exact answer", row["answer_exact"]),
        differences("answer with a cache", words(row["answer_exact"]), words(row["answer"])),
    )
    way = f"cache {row['cache']}, block {row['block']}"
    title = f"{row['prompt']}, {way}: {edits(row['edit_distance'])}"
    return ExampleItem(title, row["model"], row["task"], parts)
