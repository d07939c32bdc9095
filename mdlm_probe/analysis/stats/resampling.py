"""Functions of means, and amounts with a long tail: intervals by resampling units."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, UInt8
from scipy import special

from mdlm_probe.analysis.stats.estimate import FEW, LEVEL, NAN, Estimate, t_quantile

RESAMPLES = 999
LEAST_OWN = 0.1
"""Least standard error of a resample, in the estimate's."""
ROOM = 10**6
"""Numbers of resampled rows at a time: bounds the memory."""
KEPT = 10**8
"""Bytes of counts that are kept for further functions of as many rows."""

Statistic = Callable[[Float[np.ndarray, "*any columns"]], Float[np.ndarray, "*any"]]
"""Maps means of columns to values."""
Interval = tuple[float, float]
EVERYWHERE: Interval = (-math.inf, math.inf)


def amount(values: np.ndarray, most: float = math.inf) -> Estimate:
    """A mean of amounts, which can't be negative and often have one long tail.

    With the interval of `bootstrap`, cut at 0 and `most`. From 12 units on for exponential amounts
    and such that are often 0; lognormal ones as wide as e take 50.
    """
    return bootstrap(np.asarray(values, dtype=float)[:, None], lambda m: m[..., 0], (0.0, most))


def bootstrap(
    rows: Float[np.ndarray, "units columns"], statistic: Statistic, within: Interval = EVERYWHERE
) -> Estimate:
    """A smooth function of column means, as a ratio of sums, with an interval over rows.

    By a studentised bootstrap: the quantiles are those of (resample - estimate) / its own standard
    error, and at least those of the t distribution, times the jackknife's standard error. The
    percentile bootstrap, simpler, holds the truth in 85 to 92 % with 12 prompts, since it takes the
    few for all; this one in 93 to 97 %, from 12 rows on (ratios of counts, perplexities, their
    differences, slopes). Of steps and maxima use `resampled`. NaN ends where there is no spread.
    `p` tests that the function is 0 by the same quantiles: it is under .05 where the interval
    leaves out 0.

    Args:
        rows: one per unit.
        statistic: maps means [..., columns] to values [...].
        within: what values there can be: the interval is cut there.

    Source: Efron and Tibshirani 1993, chapter 12; that it is never narrower than a t interval:
    ours.
    """
    rows = np.asarray(rows, dtype=float)
    if not (n := len(rows)):
        return Estimate(NAN, NAN, NAN, 0)
    middle = rows.mean(axis=0)
    center = float(statistic(middle))
    if n < 2 or math.isnan(center):
        return Estimate(center, NAN, NAN, n)
    unvaried = Estimate(center, NAN, NAN, n, 1.0 if center == 0 else NAN)
    with np.errstate(divide="ignore", invalid="ignore"):
        left = statistic((n * middle - rows) / (n - 1))
        spread = math.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum())
        if not spread > FEW * max(abs(center), float(np.abs(left).max())):
            return unvaried
        found = np.concatenate(
            [_studentised(rows, weights, statistic, center, spread) for weights in _weights(n)]
        )
    found, reach = found[np.isfinite(found)], t_quantile(n)
    low, high = np.quantile(found, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2]) if len(found) else (0, 0)
    ends = center - max(high, reach) * spread, center - min(low, -reach) * spread
    p = _beyond(found, center / spread, n)
    below, above = (float(np.clip(end, *within)) for end in ends)
    return Estimate(center, below, above, n, p)


def _beyond(found: Float[np.ndarray, " resamples"], far: float, n: int) -> float:
    """How often resamples are as far off on the estimate's side, twice; the t test's p at least."""
    student = 2 * float(special.stdtr(n - 1, -abs(far)))
    if len(found) < 2:
        return student
    # ranks between two resamples, as np.quantile has them: p and interval must agree
    rank = float(np.interp(far, np.sort(found), np.linspace(0, 1, len(found))))
    return max(student, min(1.0, 2 * (1 - rank if far > 0 else rank)))


def _studentised(
    rows: Float[np.ndarray, "units columns"],
    weights: Float[np.ndarray, "resamples units"],
    statistic: Statistic,
    center: float,
    spread: float,
) -> Float[np.ndarray, " resamples"]:
    """How many of its own standard errors each resample is off; not finite if it has no spread.

    A resample's own is `LEAST_OWN` of the estimate's, `spread`, at least: where nearly all rows
    agree, it is about 0 for many, and an interval would reach to anywhere (ours).
    """
    n, scale = len(rows), rows.std(axis=0)
    apart = rows - rows.mean(axis=0)
    across, down = np.triu_indices(rows.shape[1])
    moments = weights @ np.hstack([rows, apart, apart[:, across] * apart[:, down]])
    means, shifts, products = np.split(moments, [len(scale), 2 * len(scale)], axis=1)
    values = statistic(means)
    slopes = np.zeros_like(means)
    for column in np.flatnonzero(scale > 0):
        step = np.zeros(rows.shape[1])
        step[column] = 1e-6 * scale[column]
        slopes[:, column] = (statistic(means + step) - values) / step[column]
    # of the units along the slopes, from the columns' own: an array of all units by all resamples
    # would have to be gone through several times
    both = np.where(across == down, 1, 2) * slopes[:, across] * slopes[:, down]
    variance = (both * (products - shifts[:, across] * shifts[:, down])).sum(axis=1) / (n - 1)
    flat = variance <= FEW * np.nanmax(variance, initial=0.0)
    errors = np.maximum(np.sqrt(np.where(flat, NAN, variance)), LEAST_OWN * spread)
    return (values - center) / errors


def resampled(
    rows: Float[np.ndarray, "units columns"], statistic: Statistic, within: Interval = EVERYWHERE
) -> Estimate:
    """Any function of column means, as a place or a largest column, with an interval over rows.

    By the percentile bootstrap, at wider levels: those that make it a t interval for a mean of
    normal values. It asks for no slope of the function, and holds the truth in 93 % or more from 12
    rows on, if rows have no long tail and the function isn't made larger or smaller by chance, as
    (largest - smallest) of columns that are about the same is: above its truth, always. Arguments
    as for `bootstrap`.

    Source: Hesterberg 2015, section 5.3 (the expanded percentile interval).
    """
    rows = np.asarray(rows, dtype=float)
    if not (n := len(rows)):
        return Estimate(NAN, NAN, NAN, 0)
    center = float(statistic(rows.mean(axis=0)))
    if n < 2:
        return Estimate(center, NAN, NAN, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.concatenate([statistic(weights @ rows) for weights in _weights(n)])
    found = found[~np.isnan(found)]
    tail = float(special.ndtr(-t_quantile(n) * math.sqrt(n / (n - 1))))
    if not len(found) or np.ptp(found) <= FEW * np.abs(found).max():
        return Estimate(center, NAN, NAN, n)
    low = float(np.quantile(found, tail, method="lower"))
    high = float(np.quantile(found, 1 - tail, method="higher"))
    below, above = (float(np.clip(end, *within)) for end in (low, high))
    return Estimate(center, below, above, n)


def _weights(n: int) -> Iterator[Float[np.ndarray, "resamples units"]]:
    """The weights of units in resamples, always the same ones for a number of units."""
    for counts in _counts(n):
        yield counts / n


_kept: dict[int, list[np.ndarray]] = {}


def _counts(n: int) -> Iterator[UInt8[np.ndarray, "resamples units"]]:
    """How often each unit is in each resample.

    To draw them takes longer than all that is done with them, so that those of the numbers of units
    that were used last are kept.
    """
    if n not in _kept:
        size = max(1, ROOM // n)
        drawn = (
            _drawn(n, min(size, RESAMPLES - first), first) for first in range(0, RESAMPLES, size)
        )
        if RESAMPLES * n > KEPT:
            yield from drawn
            return
        while _kept and RESAMPLES * (n + sum(_kept)) > KEPT:
            del _kept[next(iter(_kept))]
        _kept[n] = list(drawn)
    _kept[n] = _kept.pop(n)  # the last used comes last
    yield from _kept[n]


def _drawn(n: int, size: int, seed: int) -> UInt8[np.ndarray, "resamples units"]:
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=size)
    return counts.astype(np.uint8)  # they are 1 on average: 256 of a unit are never drawn
