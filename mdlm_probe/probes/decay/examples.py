"""Prompts with the most probable token at each distance from them. No torch."""

from __future__ import annotations

from itertools import groupby

from mdlm_probe.analysis.examples.choice import evenly, numbers, ranking
from mdlm_probe.analysis.examples.parts import ExampleItem, TextPart
from mdlm_probe.analysis.examples.prompts import TEXT, percent, prompt, text
from mdlm_probe.analysis.examples.rows import Fields, Rows
from mdlm_probe.prompts.prompt import MASK


def of(rows: Rows, limit: int) -> list[ExampleItem]:
    """Prompts from those whose masks are the least certain to the most certain ones."""
    part = rows.frame
    items, cells = numbers(part, TEXT), numbers(part, ("model", *TEXT, "context", "masks"))
    found = evenly(ranking(part, items, ("top1_prob",)), limit)
    chosen = [cell for number in found for cell in dict.fromkeys(cells[items == number])]
    return [_example(rows, cells.index[cells == cell].tolist()) for cell in chosen]


def _example(rows: Rows, own: list[int]) -> ExampleItem:
    places = [rows.fields(at) for at in own]
    row = places[0]
    asked = prompt(rows, row["model"], lambda: _prompt(rows, row))
    title = f"{row['prompt']}, {row['masks']} masks"
    top = TextPart("most probable token, by the masks' places", "\n".join(_tops(places)))
    return ExampleItem(title, row["model"], row["task"], (asked, top))


def _prompt(rows: Rows, row: Fields) -> str:
    found = text(row)
    masks = "" if rows.causal(row["model"]) else MASK * int(row["masks"])
    return found.prompt + masks + (found.continuation if row["context"] == "both" else "")


def _tops(places: list[Fields]) -> list[str]:
    """A line for each stretch of masks with the same most probable token."""
    lines = []
    for top, stretch in groupby(places, key=lambda row: row["top"]):
        run = list(stretch)
        first, last = run[0], run[-1]
        if len(run) == 1:
            lines.append(f"{first['place']}: {top!r} {percent(first['top1_prob'])}")
            continue
        shares = f"{percent(first['top1_prob'])} to {percent(last['top1_prob'])}"
        lines.append(f"{first['place']} to {last['place']}: {top!r} {shares}")
    return lines
