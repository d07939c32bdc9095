"""Every interval and test of the harness, always saying over what: items, prompts, sets.

Intervals are for 95 %. `tests/unit/analysis/test_stats_coverage.py` simulates how often they hold
the truth, in the situations that probes make, and how often tests find what isn't there; the
smallest numbers of units in the docstrings are from there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import special

LEVEL = 0.95
RESAMPLES = 999
ADDED, ALIKE = 2.0, 0.5
"""Hits or misses that `share_over` adds to those it judges clusters by, and how alike they are."""
FEW = 1e-12
"""Relative spread under which values differ by rounding only."""
LEAST_OWN = 0.1
"""Least standard error of a resample, in the estimate's."""
ROOM = 10**6
"""Numbers of resampled rows at a time: bounds the memory."""

Statistic = Callable[[Float[np.ndarray, "*any columns"]], Float[np.ndarray, "*any"]]
"""Maps means of columns to values."""
Interval = tuple[float, float]
EVERYWHERE: Interval = (-math.inf, math.inf)
NAN = float("nan")


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Attributes:
        mean: the estimate.
        low, high: ends of the 95 % interval; NaN where the units tell none, as one unit does.
        n: independent units that the interval is over.
        p: two-sided p-value of the hypothesis that the mean is zero; NaN where not tested.
    """

    mean: float
    low: float
    high: float
    n: int
    p: float = NAN


# ---------------------------------------------------------------------- shares


def proportion(hits: np.ndarray) -> Estimate:
    """A share of independent yes-or-no items, with Wilson's interval, mended near 0 and 1.

    Wilson's own interval misses some small shares one time in six, those of which a hit is seen now
    and then; ends next to 0 and 1 are Poisson's there. Of 5 to 40 items the interval holds the
    truth in 95 to 97 % of cases on average over shares. Counts are too coarse for 95 % at each: at
    the worst share it is 89 % (7 items) or more, from 14 items on 91 %. Over items: what it says
    is about other items of the same kind; see `share_over` for items that come in sets.
    Source: Brown, Cai and DasGupta 2001, section 4.1.1.
    """
    count, n = int(np.sum(hits)), len(hits)
    if not n:
        return Estimate(NAN, NAN, NAN, 0)
    return Estimate(count / n, _mended(count, n), 1 - _mended(n - count, n), n)


def _mended(count: int, n: int) -> float:
    """The lower end for a share of hits; that of misses is the upper end."""
    if count == 0:
        return 0.0
    if count <= (2 if n <= 50 else 3):
        return float(special.gammaincinv(count, 1 - LEVEL)) / n
    return _wilson(count, n, float(special.ndtri(0.5 + LEVEL / 2)))


def _wilson(count: float, n: float, z: float) -> float:
    """Wilson's lower end, of so many standard errors."""
    reach = z * math.sqrt(max(0.0, count * (n - count)) / n + z * z / 4)
    return max(0.0, (count + z * z / 2 - reach) / (n + z * z))


def share_over(hits: np.ndarray, clusters: np.ndarray) -> Estimate:
    """A share of yes-or-no items that come in clusters, as sets, over which its interval is.

    Wilson's interval for as many independent items as would vary so much: the number of items over
    the design effect, which is the clusters' variance of the share (CR2, as in `clustered`) by that
    of independent items, at least 1 and at most as if all items of a cluster were the same; with
    Student's quantile. Hits or misses, whichever are fewer, say little about that variance where
    there are few: two more are added, half alike within clusters. So it is finite where clusters
    don't differ. Of 8 or 16 sets of 2 to 62 items it holds the truth in 93 % or more for shares
    of .5 to .99 (sets' own by a beta distribution of concentration 9 or more), mostly in 96 to 99 %
    from .9 on: it is wide there. Student's, of the sets' means, holds .99 in 14 to 73 %.

    Args:
        hits: [items], 1 or 0.
        clusters: the cluster of each item.

    Source: ours, after Korn and Graubard 1998 (effective number of items, degrees of freedom).
    """
    hits, codes = np.asarray(hits, dtype=float), pd.factorize(np.asarray(clusters))[0]
    if not (items := len(hits)):
        return Estimate(NAN, NAN, NAN, 0)
    center, n = float(hits.mean()), int(codes.max()) + 1
    if n < 2:
        return Estimate(center, NAN, NAN, n)
    variance, freedom = sandwich(hits - center, codes)
    most = items * float(((np.bincount(codes) / items) ** 2).sum())
    alone = center * (1 - center) / items
    seen = max(1.0, variance / alone) if alone > 0 else 1.0
    rarer = items * min(center, 1 - center)
    effect = (rarer * seen + ADDED * (1 + ALIKE * (most - 1))) / (rarer + ADDED)
    alike = items / min(effect, most)
    t = float(special.stdtrit(freedom, 0.5 + LEVEL / 2))
    low, high = (_wilson(alike * share, alike, t) for share in (center, 1 - center))
    return Estimate(center, low, 1 - high, n)


def paired_hits(first: np.ndarray, second: np.ndarray) -> Estimate:
    """The difference of two shares over the same items, first minus second.

    The interval is Student's with half an item added that is better by one and half an item that is
    worse: without them it fails where the two rarely disagree (12 items, 10 % of them better and
    2 % worse: in 22 % of runs), and there is none where they never do. From 12 items on it holds
    the truth in 95 % or more; in much more where they disagree on fewer than five. The test is the
    exact sign test: items on which the two disagree go either way evenly under the null; of single
    hits it is McNemar's, and conservative. It is stricter than the interval: where few disagree an
    interval may leave out 0 and p be above .05; believe the test then. Hits may be means of hits,
    of which the interval weighs sizes and the test signs only. Source of the added items: after
    Bonett and Price 2012, who add a whole one each and take the normal's quantile.
    """
    gap = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    if not (n := len(gap)):
        return Estimate(NAN, NAN, NAN, 0)
    center = float(gap.mean())
    middle = gap.sum() / (n + 1)
    variance = ((gap**2).sum() + 1) / (n + 1) - middle**2
    reach = _student(n) * math.sqrt(variance / n)
    low, high = np.clip([middle - reach, middle + reach], -1.0, 1.0)  # NaN of one item
    better, worse = int((gap > 0).sum()), int((gap < 0).sum())
    tail = float(special.bdtr(min(better, worse), better + worse, 0.5))
    return Estimate(center, float(low), float(high), n, min(1.0, 2 * tail))


# ---------------------------------------------------------------------- means


def mean(values: np.ndarray) -> Estimate:
    """A mean of independent units with Student's interval, tested against zero.

    Exact for normal values, from 2 units on, and good for differences, whose tails are alike. Of
    values with one long tail it misses the truth too often (of 12 exponential ones in 9 %, of 12
    that are 0 by half in 14 %; either takes 50 or more): use `amount` there.
    """
    values = np.asarray(values, dtype=float)
    if not (n := len(values)):
        return Estimate(NAN, NAN, NAN, 0)
    center = float(np.mean(values))
    if n < 2:
        return Estimate(center, NAN, NAN, n)
    if np.ptp(values) <= FEW * np.abs(values).max():  # no spread tells nothing about the spread
        return Estimate(center, NAN, NAN, n, 1.0 if center == 0 else NAN)
    return _tested(center, float(values.std(ddof=1)) / math.sqrt(n), n - 1, n)


def _tested(center: float, error: float, freedom: float, n: int) -> Estimate:
    """An estimate with its standard error: Student's interval, and the test against zero."""
    reach = float(special.stdtrit(freedom, 0.5 + LEVEL / 2)) * error
    p = 2 * float(special.stdtr(freedom, -abs(center) / error))
    return Estimate(center, center - reach, center + reach, n, p)


def means(
    values: Float[np.ndarray, "units columns"],
) -> tuple[
    Float[np.ndarray, " columns"], Float[np.ndarray, " columns"], Float[np.ndarray, " columns"]
]:
    """Means of many columns at once with Student's intervals over rows: means, lows, highs.

    As `mean`, but that a column without spread has an interval of no width.
    """
    n, centers = len(values), values.mean(axis=0)
    if n < 2:
        return centers, np.full_like(centers, NAN), np.full_like(centers, NAN)
    reach = _student(n) * values.std(axis=0, ddof=1) / math.sqrt(n)
    return centers, centers - reach, centers + reach


def _student(n: int) -> float:
    """How many standard errors an interval reaches, of n units' mean."""
    return float(special.stdtrit(n - 1, 0.5 + LEVEL / 2)) if n > 1 else NAN


def mean_over(frame: pd.DataFrame, value: str, unit: str) -> Estimate:
    """The mean of the units' means: with `unit` "set", the paper's interval over the 16 sets.

    Every unit counts the same, however many rows it has; see `clustered` for the mean over rows.
    It says what other units would give, not other rows of the same ones. Not for shares of hits,
    which near 0 and 1 it misses too often: `share_over`.
    """
    return mean(frame.groupby(unit, observed=True)[value].mean().to_numpy())


def paired(first: np.ndarray, second: np.ndarray) -> Estimate:
    """The mean difference of two measures of the same units, first minus second; Student's test."""
    return mean(np.asarray(first, dtype=float) - np.asarray(second, dtype=float))


def amount(values: np.ndarray, most: float = math.inf) -> Estimate:
    """A mean of amounts, which can't be negative and often have one long tail.

    With the interval of `bootstrap`, cut at 0 and `most`. From 12 units on for exponential amounts
    and such that are often 0; lognormal ones as wide as e take 50.
    """
    return bootstrap(np.asarray(values, dtype=float)[:, None], lambda m: m[..., 0], (0.0, most))


# ---------------------------------------------------------------------- clusters


def clustered(
    values: np.ndarray, clusters: np.ndarray, others: np.ndarray | None = None
) -> Estimate:
    """The mean of observations that come in clusters, as items in sets or settings of an item.

    Every observation counts the same, so that large clusters count more, and the interval says what
    other clusters would give; with clusters of one size it is that of `mean_over`. Standard error
    by the clusters' sums (CR2), with Bell and McCaffrey's degrees of freedom. With a second
    grouping observations may be alike in either: variances add up, less what both count, and never
    less than the larger one's, of which the degrees of freedom are. From 8 clusters on (of both,
    where there are two) it holds the truth in 93 to 97 %, in up to 98.5 % where nothing is alike
    within two groupings, or one cluster is ten times the others. Of shares use `share_over`. Of
    differences of hits it is too short where under one item in ten differs, and in some clusters
    much more than in others: 82 to 94 %.

    Args:
        values: [observations].
        clusters: the cluster of each, as an item's name.
        others: a second grouping, as a set's name, crossed with the first or around it.

    Source: Bell and McCaffrey 2002; Cameron, Gelbach and Miller 2011 for two groupings.
    """
    values = np.asarray(values, dtype=float)
    first = pd.factorize(np.asarray(clusters))[0]
    if not len(values):
        return Estimate(NAN, NAN, NAN, 0)
    center = float(values.mean())
    second = first if others is None else pd.factorize(np.asarray(others))[0]
    n = int(min(first.max(), second.max())) + 1
    if n < 2 or np.ptp(values) <= FEW * np.abs(values).max():
        return Estimate(center, NAN, NAN, n, 1.0 if n > 1 and center == 0 else NAN)
    rest = values - center
    parts = [sandwich(rest, codes) for codes in (first, second)]
    variance, freedom = max(parts)
    if others is not None:
        shared = pd.factorize(first * (second.max() + 1) + second)[0]
        both = parts[0][0] + parts[1][0] - sandwich(rest, shared)[0]
        variance = max(variance, both)
    if variance <= (FEW * np.abs(values).max()) ** 2:  # clusters' means are all the same
        return Estimate(center, NAN, NAN, n)
    return _tested(center, math.sqrt(variance), freedom, n)


def sandwich(rest: Float[np.ndarray, " observations"], codes: np.ndarray) -> tuple[float, float]:
    """A mean's variance by its clusters, and the degrees of freedom of that.

    Both in closed form, there being no other regressor than the constant.
    """
    share = np.bincount(codes) / len(rest)
    sums = np.bincount(codes, weights=rest) / len(rest)
    apart = share**2 / (1 - share)
    rough = (share**2).sum() + apart.sum() ** 2 - (apart**2).sum()
    return float((sums**2 / (1 - share)).sum()), 1 / float(rough)


# ---------------------------------------------------------------------- functions of means


def bootstrap(
    rows: Float[np.ndarray, "units columns"], statistic: Statistic, within: Interval = EVERYWHERE
) -> Estimate:
    """A smooth function of column means, as a ratio of sums, with an interval over rows.

    By a studentised bootstrap: the quantiles are those of (resample - estimate) / its own standard
    error, and at least Student's, times the jackknife's standard error. The percentile bootstrap,
    simpler, holds the truth in 85 to 92 % with 12 prompts, since it takes the few for all; this one
    in 93 to 97 %, from 12 rows on (ratios of counts, perplexities, their differences, slopes). Of
    steps and maxima use `resampled`. NaN ends where there is no spread. `p` tests that the function
    is 0 by the same quantiles: it is under .05 where the interval leaves out 0.

    Args:
        rows: one a unit.
        statistic: maps means [..., columns] to values [...].
        within: what values there can be: the interval is cut there.

    Source: Efron and Tibshirani 1993, chapter 12; that it is never narrower than Student's: ours.
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
    found, reach = found[np.isfinite(found)], _student(n)
    low, high = np.quantile(found, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2]) if len(found) else (0, 0)
    ends = center - max(high, reach) * spread, center - min(low, -reach) * spread
    p = _beyond(found, center / spread, n)
    below, above = (float(np.clip(end, *within)) for end in ends)
    return Estimate(center, below, above, n, p)


def _beyond(found: Float[np.ndarray, " resamples"], far: float, n: int) -> float:
    """How often resamples are as far off on the estimate's side, twice; Student's p at least."""
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
    means = weights @ rows
    values = statistic(means)
    slopes = np.zeros_like(means)
    for column in np.flatnonzero(scale > 0):
        step = np.zeros(rows.shape[1])
        step[column] = 1e-6 * scale[column]
        slopes[:, column] = (statistic(means + step) - values) / step[column]
    along = slopes @ (rows - rows.mean(axis=0)).T
    inner = (weights * along).sum(axis=1)
    variance = (weights * (along - inner[:, None]) ** 2).sum(axis=1) / (n - 1)
    flat = variance <= FEW * np.nanmax(variance, initial=0.0)
    errors = np.maximum(np.sqrt(np.where(flat, NAN, variance)), LEAST_OWN * spread)
    return (values - center) / errors


def resampled(
    rows: Float[np.ndarray, "units columns"], statistic: Statistic, within: Interval = EVERYWHERE
) -> Estimate:
    """Any function of column means, as a place or a largest column, with an interval over rows.

    By the percentile bootstrap, at wider levels: those that make it Student's for a mean of normal
    values. It asks for no slope of the function, and holds the truth in 93 % or more from 12 rows
    on, if rows have no long tail and the function isn't made larger or smaller by chance, as
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
    tail = float(special.ndtr(-_student(n) * math.sqrt(n / (n - 1))))
    if not len(found) or np.ptp(found) <= FEW * np.abs(found).max():
        return Estimate(center, NAN, NAN, n)
    low = float(np.quantile(found, tail, method="lower"))
    high = float(np.quantile(found, 1 - tail, method="higher"))
    below, above = (float(np.clip(end, *within)) for end in (low, high))
    return Estimate(center, below, above, n)


def _weights(n: int) -> Iterator[Float[np.ndarray, "resamples units"]]:
    """The weights of units in resamples, always the same ones for a number of units."""
    size = max(1, ROOM // n)
    for first in range(0, RESAMPLES, size):
        yield _drawn(n, min(size, RESAMPLES - first), first)


@lru_cache(maxsize=4)
def _drawn(n: int, size: int, seed: int) -> Float[np.ndarray, "resamples units"]:
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=size) / n


# ---------------------------------------------------------------------- tests and sizes


def holm(p_values: Sequence[float] | Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """p-values corrected for being a family, by Holm's step-down method; NaN is no test.

    The chance of any false finding in the family stays under the level, however tests hang
    together. Source: Holm 1979.
    """
    p = np.array(p_values, dtype=float)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # NaN sorts last
    # not statsmodels' multipletests: it collects garbage at every call, which takes 60 ms
    steps = p[order] * np.arange(len(order), 0, -1)
    p[order] = np.minimum(1, np.maximum.accumulate(steps))
    return p


def welch(gap: float, errors: tuple[float, float], freedoms: tuple[float, float]) -> float:
    """How probable it is that of two equal things one seems this much better: Welch's test.

    One-sided. For estimates with standard errors of their own, as Monte Carlo likelihoods.

    Args:
        gap: the better estimate minus the other.
        errors: both standard errors; 0 is exact.
        freedoms: their degrees of freedom; inf where a standard error is known.
    """
    variance = errors[0] ** 2 + errors[1] ** 2
    if variance == 0:
        return 0.0 if gap > 0 else 1.0
    rough = sum(e**4 / freedom for e, freedom in zip(errors, freedoms, strict=True))
    far = -gap / math.sqrt(variance)
    return float(special.stdtr(variance**2 / rough, far) if rough else special.ndtr(far))


def cohen_dz(differences: np.ndarray) -> float:
    """The mean difference of pairs in standard deviations of the differences.

    NaN without spread, or with one pair. Source: Cohen 1988, section 2.3.5.
    """
    differences = np.asarray(differences, dtype=float)
    spread = _deviation(differences)
    return float(differences.mean()) / spread if spread else NAN


def least(differences: np.ndarray, power: float = 0.8) -> float:
    """The smallest true mean difference that so many units would show with that power.

    By Student's two-sided test at 5 %, in units of the measure, the spread being that of these
    differences (statsmodels). Smaller effects may be there and not be seen. NaN without spread, or
    with one unit.
    """
    from statsmodels.stats.power import TTestPower  # takes half a second: not for every command

    differences = np.asarray(differences, dtype=float)
    if not (spread := _deviation(differences)):
        return NAN
    n = len(differences)
    return spread * float(TTestPower().solve_power(nobs=n, alpha=1 - LEVEL, power=power))


def _deviation(values: np.ndarray) -> float:
    """The standard deviation of a sample; 0 where there is none but rounding."""
    if len(values) < 2 or np.ptp(values) <= FEW * np.abs(values).max():
        return 0.0
    return float(values.std(ddof=1))


def corrected(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Adds NAME_holm beside each NAME_p: by Holm's method, a model's rows being the family.

    Every column is a family of its own; rows without a p-value test nothing.
    """
    for name in names if len(table) else ():
        by_model = table.groupby("model", observed=True, sort=False)[f"{name}_p"]
        by_holm = by_model.transform(lambda p: pd.Series(holm(p.to_numpy()), index=p.index))
        table.insert(list(table.columns).index(f"{name}_p") + 1, f"{name}_holm", by_holm)
    return table
