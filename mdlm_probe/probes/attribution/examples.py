"""Test points with the share of the answer that each example of the prompt has. No torch."""

from __future__ import annotations

import dataclasses

import pandas as pd

from mdlm_probe.analysis.examples.choice import extreme, numbers, spread
from mdlm_probe.analysis.examples.parts import ExampleItem, TextPart
from mdlm_probe.analysis.examples.rows import Fields, Rows
from mdlm_probe.probes._few_shot.examples import POINT, example
from mdlm_probe.probes.attribution.probe import Cell, shown

SETTING = ("question", "appended_masks", "example_order", "method", "ig_steps", "detail")


def of(rows: Rows, limit: int) -> list[ExampleItem]:
    """Test points in the first order of their examples, with fewest and most masks."""
    both = {kind: rows.of_kind(kind) for kind in ("examples", "groups")}
    names = ("model", *(field.name for field in dataclasses.fields(Cell)))
    cells = numbers(pd.concat({kind: own.frame for kind, own in both.items()}), names)
    groups = both["groups"].frame
    first = groups[groups["group"] == "all"]
    part = extreme(first[first["example_order"] == 0], ("appended_masks",))
    found = []
    for at in spread(part, POINT, SETTING, ("correct",), limit):
        same = {kind: cells[kind] == cells["groups"][at] for kind in both}
        own = [[both[kind].fields(n) for n in same[kind].index[same[kind]]] for kind in both]
        found.append(_example(both["groups"], at, own))
    return found


def _example(rows: Rows, at: int, own: list[list[Fields]]) -> ExampleItem:
    row = rows.fields(at)
    masks = f", {row['appended_masks']} masks" if row["appended_masks"] != "0" else ""
    setting = f"question at the {row['question']}{masks}"
    examples, groups = own
    scores = [f"{n}. {row['label']}: {row['normalised']}" for n, row in enumerate(examples, 1)]
    means = [
        f"{row['group']} ({row['summed_tokens']} tokens): {row['normalised']}" for row in groups
    ]
    shares = (
        TextPart("each example's score, the largest being 1", "\n".join(scores)),
        TextPart("a token's score by group, the largest token's being 1", "\n".join(means)),
    )
    return example(rows, at, setting, lambda *given: shown(*given)[1], shares)
