"""Estimates over the prompts of a shift run, and the groups that they are made for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.stats import corrected
from mdlm_probe.decoding.canvas import NO_INTERVENTION

SERIES = ["model", "intervention", "frac"]
NOTHING = stats.Estimate(np.nan, np.nan, np.nan, 0)


def grouped(rows: pd.DataFrame, names: list[str]) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """The groups of intervened rows, each with its coordinates by name, in order of appearance."""
    changed = rows[rows["intervention"] != NO_INTERVENTION]
    found = changed.groupby(names, observed=True, sort=False)
    return [(dict(zip(names, key, strict=True)), part) for key, part in found]


def mean(values: pd.Series) -> stats.Estimate:
    """The t interval of what is there."""
    values = values.dropna()
    return stats.mean(values.to_numpy()) if len(values) else NOTHING


def amount(values: pd.Series, most: float = np.inf) -> stats.Estimate:
    """The mean of what is there, none of it negative, with its interval."""
    return stats.amount(values.dropna().to_numpy(), most)


def hits(first: pd.Series, second: pd.Series) -> stats.Estimate:
    """A difference of exact matches: the t interval, sign test."""
    both = pd.concat([first, second], axis=1).dropna().to_numpy()
    return stats.paired_hits(both[:, 0], both[:, 1]) if len(both) else NOTHING


def columns(
    name: str, found: stats.Estimate, scale: float = 1, within: tuple[float, float] | None = None
) -> dict[str, float]:
    """The columns of an estimate, in other units, cut at what they can be."""
    scaled = found.times(scale)
    return (scaled.within(*within) if within else scaled).columns(name)


def holm_corrected(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Adds Holm's p-values, over a model's rows; a fraction of 0 tests nothing."""
    for name in names:
        if f"{name}_p" in table:
            table[f"{name}_p"] = table[f"{name}_p"].where(table["frac"] > 0)
    return corrected(table, [name for name in names if f"{name}_p" in table])
