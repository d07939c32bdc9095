"""Relative degradation of accuracy over numbers of masks, and what noise alone makes of it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd
from jaxtyping import Float

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.stats.resampling import Statistic
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
    values = units(hits)
    found = stats.resampled(values, relative, (0.0, 1.0)).columns("degradation")
    return found | {"degradation_null": null(values)}


def units(hits: pd.DataFrame) -> Float[np.ndarray, "units columns"]:
    """Relevant tasks, or the items of a single one; their mean is that of all items."""
    tasks = hits.groupby(level=RELEVANT, observed=True, sort=False).sum()
    # sums in the size of a mean task: every item counts the same
    rows = tasks / (len(hits) / len(tasks)) if len(tasks) > 1 else hits
    return rows.to_numpy(dtype=float)


def over_steps(hits: pd.DataFrame) -> stats.Estimate:
    """The mean over steps of the relative degradation over k, and its interval.

    Units are resampled with all their steps, which share the items.

    Args:
        hits: items by (steps, k).
    """
    return stats.resampled(units(hits), _mean_over(hits.columns), (0.0, 1.0))


def change_over_steps(before: pd.DataFrame, after: pd.DataFrame) -> stats.Estimate:
    """What was added to `over_steps` of the same items; they are resampled on both sides at once.

    Noise makes both larger, so that their difference is less biased than either.

    Args:
        before, after: items by (steps, k).
    """
    return _change(before, after, _mean_over)


def change_of_drop(before: pd.DataFrame, after: pd.DataFrame) -> stats.Estimate:
    """What was added to the drop from the best k to the largest, over the same items.

    Args:
        before, after: items by k, in its order.
    """
    return _change(before, after, lambda columns: _drop)


def _change(
    before: pd.DataFrame, after: pd.DataFrame, of: Callable[[pd.Index], Statistic]
) -> stats.Estimate:
    both = pd.concat({"before": before, "after": after}, axis=1, join="inner")
    cut, first, second = before.shape[1], of(before.columns), of(after.columns)

    def change(means: Float[np.ndarray, "*any columns"]) -> Float[np.ndarray, "*any"]:
        return np.asarray(second(means[..., cut:]) - first(means[..., :cut]))

    return stats.resampled(units(both), change, (-1.0, 1.0))


def _mean_over(columns: pd.Index) -> Statistic:
    """The mean of `relative` over the steps of columns (steps, k)."""
    steps = columns.get_level_values(0)
    places = [np.flatnonzero(steps == step) for step in steps.unique()]

    def mean(means: Float[np.ndarray, "*any columns"]) -> Float[np.ndarray, "*any"]:
        return np.asarray(np.mean([relative(means[..., own]) for own in places], axis=0))

    return mean


def _drop(means: Float[np.ndarray, "*any k"]) -> Float[np.ndarray, "*any"]:
    return np.asarray(means.max(axis=-1) - means[..., -1])


def relative(means: Float[np.ndarray, "*any k"]) -> Float[np.ndarray, "*any"]:
    """(max - min) / max over the last axis."""
    largest = means.max(axis=-1)
    lost = largest - means.min(axis=-1)
    return np.asarray(lost / np.where(largest > 0, largest, np.nan))


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
