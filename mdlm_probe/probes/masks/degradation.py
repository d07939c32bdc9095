"""Relative degradation of accuracy over numbers of masks, and what noise alone makes of it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
from jaxtyping import Float

from mdlm_probe.analysis import stats
from mdlm_probe.probes._few_shot.report_parts import RELEVANT

ENUMERATED = 10
"""Units whose signs are all gone through; of more, so many random ones."""
RANDOM = 999


def degradation(hits: pd.DataFrame) -> dict[str, float]:
    """(max - min) / max of accuracy over k, its interval, and its mean if k changed nothing.

    As in the tables of arXiv 2511.21338, section 6. Over relevant tasks, or over the items of a
    single one: a bootstrap of them. Noise alone makes it larger than 0: `degradation_null` says by
    how much. It is the mean of the same where each task differs from the mean over all k as it does
    here, or the other way round. Where `degradation` isn't well above it there is nothing to see,
    and its interval, which can't know that, is too far up. Source of the null: ours.

    Args:
        hits: items by k.
    """
    tasks = hits.groupby(level=RELEVANT, observed=True, sort=False).sum()
    # sums in the size of a mean task: every item counts the same
    rows = tasks / (len(hits) / len(tasks)) if len(tasks) > 1 else hits
    values = rows.to_numpy(dtype=float)
    found = stats.resampled(values, relative, (0.0, 1.0)).columns("degradation")
    return found | {"degradation_null": null(values)}


def relative(means: Float[np.ndarray, "*any k"]) -> Float[np.ndarray, "*any"]:
    """(max - min) / max over the last axis."""
    largest = means.max(axis=-1)
    lost: np.ndarray = largest - means.min(axis=-1)
    return lost / np.where(largest > 0, largest, np.nan)


def null(rows: Float[np.ndarray, "units k"]) -> float:
    """The mean degradation of units that differ as these do, were there none on average.

    By all signs, or random ones, of the units' differences from the means (a wild bootstrap).
    """
    n = len(rows)
    if n < 2:
        return float("nan")
    rest = (rows - rows.mean(axis=0)) * np.sqrt(n / (n - 1))
    if n <= ENUMERATED:
        signs = np.array(list(product((1.0, -1.0), repeat=n)))
    else:
        signs = np.random.default_rng(n).choice((1.0, -1.0), (RANDOM, n))
    return float(np.mean(relative(np.clip(rows.mean() + signs @ rest / n, 0, 1))))
