"""Test points with the relevant block near the question and far from it. No torch."""

from __future__ import annotations

from mdlm_probe.examples import Example
from mdlm_probe.examples._choice import extreme, spread
from mdlm_probe.examples._few_shot import POINT, RANK, example
from mdlm_probe.examples._rows import Rows
from mdlm_probe.probes.locality import shown

SETTING = ("question", "masks", "position")


def of(rows: Rows, limit: int) -> list[Example]:
    """Test points at the first and last positions, with fewest and most masks, wrong ones first."""
    part = extreme(rows.frame, ("position", "masks"))
    return [_example(rows, at) for at in spread(part, POINT, SETTING, RANK, limit)]


def _example(rows: Rows, at: int) -> Example:
    row = rows.fields(at)
    masks = f", {row['masks']} masks" if row["masks"] != "0" else ""
    setting = f"question at the {row['question']}, position {row['position']}{masks}"
    return example(rows, at, setting, shown)
