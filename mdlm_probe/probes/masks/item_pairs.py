"""Test points of two settings side by side, and what differs between them, in points of 100."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.probes._few_shot.report_parts import ITEM, difference

CONTEXT = ["model", "shots", "distractors"]
SERIES = [*CONTEXT, "filler", "side", "steps", "order"]
MEASURES = ("correct", "p_right")
NAMES = ("accuracy_points", "p_right_points")
"""What differences of these are called."""


def by_amount(part: pd.DataFrame, measure: str, by: str | tuple[str, ...] = "k") -> pd.DataFrame:
    """Test points as rows, amounts as columns in order; points that miss an amount are left."""
    names = by if isinstance(by, str) else [*by]
    found = part.pivot_table(index=[*ITEM], columns=names, values=measure, sort=False)
    return found[sorted(found.columns)].dropna()


def both_by_amount(part: pd.DataFrame, by: str = "k") -> list[pd.DataFrame]:
    """`by_amount` of both measures, from one table of them."""
    found = part.pivot_table(index=[*ITEM], columns=by, values=[*MEASURES], sort=False)
    none = found.iloc[:, :0]
    sides = [pd.DataFrame(found.get(measure, none)) for measure in MEASURES]
    return [side[sorted(side.columns)].dropna() for side in sides]


def ends(name: str, found: stats.Estimate, most: float = 100) -> dict[str, float]:
    """The interval of a difference of shares, in points: it can't leave -100..100."""
    return found.times(100).within(-most, most).ends(name)


def compared(*gaps: pd.Series, hits: bool, most: float = 100) -> dict[str, float]:
    """Items' differences of accuracy and of probability, in points.

    Args:
        gaps: of both measures.
        hits: whether those of accuracy are differences of hits, of which there is a sign test.
        most: points that there can be at most.
    """
    known = [gap.dropna() for gap in gaps]
    found = [difference(known[0], hits=hits), difference(known[1], hits=False)]
    line: dict[str, float] = {"n": len(known[0]), "units": found[0].n}
    for name, gap in zip(NAMES, found, strict=True):
        line |= {name: 100 * gap.mean} | ends(name, gap, most) | {f"{name}_p": gap.p}
    return line


def corrected_lines(lines: list[dict[str, float]]) -> list[dict[str, float]]:
    """Lines with Holm's p-values: they are one family."""
    holm = {name: stats.holm([line[f"{name}_p"] for line in lines]) for name in NAMES}
    return [
        line | {f"{name}_holm": float(p[i]) for name, p in holm.items()}
        for i, line in enumerate(lines)
    ]
