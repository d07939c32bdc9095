"""Test points with the relevant block near the question and far from it. No torch."""

from __future__ import annotations

from mdlm_probe.analysis.examples.choice import extreme, spread
from mdlm_probe.analysis.examples.parts import ExampleItem
from mdlm_probe.analysis.examples.rows import Rows
from mdlm_probe.probes._few_shot.examples import POINT, RANK, example
from mdlm_probe.probes.locality.probe import shown

SETTING = ("question", "question_masks", "position")


def of(rows: Rows, limit: int) -> list[ExampleItem]:
    """Test points at the first and last positions, with fewest and most masks, wrong ones first."""
    part = extreme(rows.frame, ("position", "question_masks"))
    return [_example(rows, at) for at in spread(part, POINT, SETTING, RANK, limit)]


def _example(rows: Rows, at: int) -> ExampleItem:
    row = rows.fields(at)
    masks = f", {row['question_masks']} masks" if row["question_masks"] != "0" else ""
    setting = f"question at the {row['question']}, position {row['position']}{masks}"
    return example(rows, at, setting, shown)
