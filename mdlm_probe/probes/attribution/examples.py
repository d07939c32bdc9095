"""Test points with the share of the answer that each example of the prompt has. No torch."""

from __future__ import annotations

import dataclasses

from mdlm_probe.analysis.examples.choice import extreme, numbers, spread
from mdlm_probe.analysis.examples.parts import ExampleItem, TextPart
from mdlm_probe.analysis.examples.rows import Rows
from mdlm_probe.probes._few_shot.examples import POINT, example
from mdlm_probe.probes.attribution.probe import Cell, shown

SETTING = ("question", "appended_masks", "example_order", "method", "ig_steps", "detail")


def of(rows: Rows, limit: int) -> list[ExampleItem]:
    """Test points in the first order of their examples, with fewest and most masks."""
    frame = rows.frame
    cells = numbers(frame, ("model", *(field.name for field in dataclasses.fields(Cell))))
    first = frame[(frame["unit"] == "group") & (frame["label"] == "all")]
    part = extreme(first[first["example_order"] == 0], ("appended_masks",))
    found = spread(part, POINT, SETTING, ("correct",), limit)
    return [_example(rows, at, cells.index[cells == cells[at]].tolist()) for at in found]


def _example(rows: Rows, at: int, own: list[int]) -> ExampleItem:
    row = rows.fields(at)
    masks = f", {row['appended_masks']} masks" if row["masks"] != "0" else ""
    setting = f"question at the {row['question']}{masks}"
    shares = tuple(_shares(rows, own, unit) for unit in ("example", "group"))
    return example(rows, at, setting, lambda *given: shown(*given)[1], shares)


def _shares(rows: Rows, own: list[int], unit: str) -> TextPart:
    """Scores of a cell's examples, or of its groups of tokens, as shares of the largest."""
    found = [row for row in map(rows.fields, own) if row["unit"] == unit]
    if unit == "example":
        label = "each example's score, the largest being 1"
        lines = [f"{n}. {row['label']}: {row['normalised']}" for n, row in enumerate(found, 1)]
    else:
        label = "a token's score by group, the largest token's being 1"
        lines = [
            f"{row['label']} ({row['summed_tokens']} tokens): {row['normalised']}" for row in found
        ]
    return TextPart(label, "\n".join(lines))
