"""Means of observations that come in clusters."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from jaxtyping import Float

from mdlm_probe.analysis.stats.estimate import FEW, NAN, Estimate, t_estimate


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
    return t_estimate(center, math.sqrt(variance), freedom, n)


def sandwich(rest: Float[np.ndarray, " observations"], codes: np.ndarray) -> tuple[float, float]:
    """A mean's variance by its clusters, and the degrees of freedom of that.

    Both in closed form, there being no other regressor than the constant.
    """
    share = np.bincount(codes) / len(rest)
    sums = np.bincount(codes, weights=rest) / len(rest)
    apart = share**2 / (1 - share)
    rough = (share**2).sum() + apart.sum() ** 2 - (apart**2).sum()
    return float((sums**2 / (1 - share)).sum()), 1 / float(rough)
