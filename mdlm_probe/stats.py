"""Intervals and paired tests, always saying over what: items, or sets of items."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Attributes:
        mean: the estimate.
        low, high: ends of the 95 % interval; NaN where one observation gives none.
        n: independent units that the interval is over.
        p: two-sided p-value of the hypothesis that the mean is zero; NaN where not tested.
    """

    mean: float
    low: float
    high: float
    n: int
    p: float = float("nan")


def proportion(hits: np.ndarray) -> Estimate:
    """A share of independent yes-or-no items, with Wilson's interval (statsmodels)."""
    count, n = int(np.sum(hits)), len(hits)
    low, high = proportion_confint(count, n, alpha=1 - LEVEL, method="wilson")
    # at the ends the closed form is exact, statsmodels only to rounding
    return Estimate(count / n, float(low) if count else 0.0, float(high) if count < n else 1.0, n)


def mean(values: np.ndarray) -> Estimate:
    """A mean of independent units with Student's interval, tested against zero (scipy)."""
    values = np.asarray(values, dtype=float)
    n, center = len(values), float(np.mean(values))
    if n < 2:
        return Estimate(center, float("nan"), float("nan"), n)
    if np.ptp(values) <= 1e-12 * np.abs(values).max():  # no spread tells nothing about the spread
        nan = float("nan")
        return Estimate(center, nan, nan, n, 1.0 if center == 0 else nan)
    test = stats.ttest_1samp(values, 0.0)
    low, high = test.confidence_interval(LEVEL)
    return Estimate(center, float(low), float(high), n, float(test.pvalue))


def mean_over(frame: pd.DataFrame, value: str, unit: str) -> Estimate:
    """The mean of the units' means: with `unit` "set", the paper's interval over the 16 sets."""
    return mean(frame.groupby(unit, observed=True)[value].mean().to_numpy())


def paired(first: np.ndarray, second: np.ndarray) -> Estimate:
    """The mean difference of two measures of the same units, first minus second; Student's test."""
    return mean(np.asarray(first, dtype=float) - np.asarray(second, dtype=float))


def bootstrap(rows: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> Estimate:
    """A function of column means with a percentile bootstrap interval over rows (scipy).

    Args:
        rows: one a unit, [units, columns].
        statistic: maps means [..., columns] to values [...].
    """
    n, center = len(rows), float(statistic(rows.mean(axis=0)))
    if n < 2:
        return Estimate(center, float("nan"), float("nan"), n)
    with warnings.catch_warnings():  # of no spread: then there is no interval
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (np.arange(n),),
            lambda chosen, axis: statistic(rows[chosen].mean(axis=-2)),
            confidence_level=LEVEL,
            method="percentile",
            n_resamples=999,
            batch=max(1, 10**6 // rows.size),  # resamples at a time: bounds the memory
            rng=np.random.default_rng(0),
        ).confidence_interval
    if found.low == found.high:  # as for a mean: no spread tells nothing about the spread
        return Estimate(center, float("nan"), float("nan"), n)
    return Estimate(center, float(found.low), float(found.high), n)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """p-values corrected for being a family, by Holm's step-down method; NaN is no test."""
    p = np.array(p_values, dtype=float)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # NaN sorts last
    # not statsmodels' multipletests: it collects garbage at every call, which takes 60 ms
    steps = p[order] * np.arange(len(order), 0, -1)
    p[order] = np.minimum(1, np.maximum.accumulate(steps))
    return p


def paired_hits(first: np.ndarray, second: np.ndarray) -> Estimate:
    """The difference of two shares over the same items, first minus second.

    The interval is Student's over the items' differences; the test is the exact sign test: items on
    which the two disagree go either way evenly under the null (of single hits: McNemar's test).
    """
    gap = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    inner = mean(gap)
    better, worse = int((gap > 0).sum()), int((gap < 0).sum())
    p = float(stats.binomtest(better, better + worse).pvalue) if better + worse else 1.0
    return Estimate(inner.mean, inner.low, inner.high, inner.n, p)
