"""What a change does later in the course: slopes over the share, cascades, what became of hits."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats, text_quality
from mdlm_probe.probes.shift.estimates import NOTHING, SERIES, amount, columns, grouped

OF_HITS = ("blocked", "to_right", "to_left")
OF_CHANGES = ("late", "refilled", "doubled", "visible")


def trend(rows: pd.DataFrame) -> pd.DataFrame:
    """What one changed token in a hundred costs: slopes over the realised share.

    Least squares through the origin, since nothing changed costs nothing: of the fractions' mean
    harm over their mean realised share, both means over prompts, with bootstrap intervals over
    prompts that have all fractions and a change at one of them (others add nothing). Of `nats` by
    token and percent, of `truth` and `edits` in points of 100 by percent. Harm that levels off has
    no one slope: compare slopes over the same fractions.
    """
    found = []
    for named, part in grouped(rows[rows["frac"] > 0], ["model", "intervention"]):
        line = named | {"fracs": part["frac"].nunique(), "n": part["prompt"].nunique()}
        for name, measure, scale in (
            ("nats", "nats", 1),
            ("truth", "more_truth", 1),
            ("edits", "edits", 100),
        ):
            if part[measure].notna().any():
                line |= columns(f"{name}_slope", _slope(part, measure), scale)
        found.append(line)
    return pd.DataFrame(found)


def _slope(part: pd.DataFrame, measure: str) -> stats.Estimate:
    """Of a measure over the realised percentage."""
    part = part.assign(share=100 * part["changed"] / part["offered"])
    wide = part.pivot(index="prompt", columns="frac", values=["share", measure]).dropna()
    count = wide.shape[1] // 2

    def slope(means: np.ndarray) -> np.ndarray:
        x, y = means[..., :count], means[..., count:]
        square = (x * x).sum(-1)
        slopes: np.ndarray = (x * y).sum(-1) / np.where(square > 0, square, np.nan)
        return slopes

    values = wide.to_numpy(dtype=float)
    values = values[values[:, :count].any(axis=1)]
    return stats.bootstrap(values, slope) if len(values) else NOTHING


def cascade(rows: pd.DataFrame) -> pd.DataFrame:
    """How far a change runs on.

    `changed` is its mean number by answer. `by_change` is the number of places that differ though
    the intervention wrote nothing there, by change (bootstrap); of moves after decoding it is 0.
    Of the `differing` answers: `divergence`, the first position that differs, and the shares of
    the 8 and 32 positions after it that differ (bootstrap).
    """
    found = []
    for named, part in grouped(rows[rows["frac"] > 0], SERIES):
        differing = part[part["differs"]]
        line = named | {"n": len(part), "changed": part["changed"].mean()}
        line |= columns("by_change", text_quality.ratio(part, "cascade", "changed"))
        first = amount(differing["divergence"])
        line |= {"differing": len(differing)} | columns("divergence", first)
        for name in ("parted_8", "parted_32"):
            line |= columns(name, amount(differing[name], 1.0))
        found.append(line)
    return pd.DataFrame(found)


def moves(rows: pd.DataFrame) -> pd.DataFrame:
    """What became of the hits, as shares, with bootstrap intervals over prompts.

    Of all tokens: `realised`. Of the hits: `blocked_share`, which are left over, and moves
    `to_right_share` and `to_left_share` (left to right nearly all go right: what stands at the left
    is written). Of the moved tokens: `late_share`, which stand in for others without a free side,
    `refilled_share`, whose own place was filled in later, and `doubled_share`, with the same token
    again. Of all changes: `visible_share`, not behind the end of the text. Columns that an
    intervention doesn't have are left empty.
    """
    found = []
    for named, part in grouped(rows[rows["frac"] > 0], SERIES):
        line = named | {"hits": int(part["hits"].sum()), "changed": int(part["changed"].sum())}
        line |= columns("realised", text_quality.ratio(part, "changed", "offered", 1.0))
        for name in OF_HITS:
            line |= columns(f"{name}_share", text_quality.ratio(part, name, "hits", 1.0))
        for name in OF_CHANGES:
            line |= columns(f"{name}_share", text_quality.ratio(part, name, "changed", 1.0))
        found.append(line)
    return pd.DataFrame(found)
