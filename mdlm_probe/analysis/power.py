"""The smallest true differences that tests would have shown; of a test as it is run."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from mdlm_probe.analysis import stats

ALPHA = 1 - stats.LEVEL
POWER = 0.8
STEPS = 30
"""Halvings of the interval that a difference is sought in."""


@lru_cache(maxsize=1024)
def by_signs(items: int, apart: int, power: float = POWER) -> float:
    """The smallest true difference of two shares that `stats.paired_hits` would show of `items`.

    By the exact power of its sign test at 5 %, were the two to disagree as often as they did, and
    always the same way where the difference alone is more than that. NaN where they never disagree,
    and with so few items that no outcome has a p under .05 (five, say).

    Args:
        items: how many there are.
        apart: on how many the two disagree.
        power: how often it is to be shown.

    Source: ours; the power is a sum over all outcomes.
    """
    if not apart or shown(items, 1.0, 1.0) < power:
        return float("nan")
    low, high, share = 0.0, 1.0, apart / items
    for _ in range(STEPS):
        middle = (low + high) / 2
        found = shown(items, max(share, middle), middle) >= power
        low, high = (low, middle) if found else (middle, high)
    return high


def shown(items: int, share: float, difference: float) -> float:
    """How often the sign test is under 5 %, of two that disagree on a share of the items.

    Args:
        items: how many there are.
        share: of them, those on which the two disagree, in truth.
        difference: what the one has more hits, in truth; at most `share`.
    """
    counts = np.arange(items + 1)
    chance = _binomial(counts, items, share)
    most = _fewer(items)
    counts, chance, most = (values[most >= 0] for values in (counts, chance, most))
    better = (1 + difference / share) / 2
    found = special.bdtr(most, counts, better) + special.bdtr(most, counts, 1 - better)
    return float(chance @ found)


def _binomial(counts: Int[np.ndarray, " n"], items: int, share: float) -> Float[np.ndarray, " n"]:
    ways = -special.betaln(1 + items - counts, 1 + counts) - np.log(items + 1)
    chances = special.xlogy(counts, share) + special.xlog1py(items - counts, -share)
    found: np.ndarray = np.exp(ways + chances)
    return found


@lru_cache(maxsize=64)
def _fewer(items: int) -> Int[np.ndarray, " n"]:
    """Of 0 to `items` disagreements: how many at most may go the rarer way; -1 where none may."""
    most, found = -1, []
    for count in range(items + 1):
        if 2 * special.bdtr(most + 1, count, 0.5) <= ALPHA:
            most += 1
        found.append(most)
    return np.array(found)


def by_clusters(values: Float[np.ndarray, " items"], codes: Int[np.ndarray, " items"]) -> float:
    """The smallest true mean that `stats.clustered` would show in 80 % of cases, of as many.

    By the standard error and the degrees of freedom of that very test; NaN without spread between
    clusters.

    Args:
        values: the items' differences.
        codes: the cluster of each, as numbers from 0.
    """
    variance, freedom = stats.sandwich(values - values.mean(), codes)
    if variance <= (stats.FEW * np.abs(values).max()) ** 2:
        return float("nan")
    return float(np.sqrt(variance)) * _errors(round(freedom, 6))


@lru_cache(maxsize=1024)
def _errors(freedom: float) -> float:
    """How many standard errors a mean must be from 0 to be shown by a t test."""
    from statsmodels.stats.power import TTestPower  # takes half a second: not for every command

    n = freedom + 1
    return float(TTestPower().solve_power(nobs=n, alpha=ALPHA, power=POWER)) * float(np.sqrt(n))
