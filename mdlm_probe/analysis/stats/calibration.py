"""Calibration: whether what is believed with confidence c is right with frequency c."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy import special

from mdlm_probe.analysis.stats.clusters import sandwich
from mdlm_probe.analysis.stats.estimate import LEVEL, NAN, Estimate, t_estimate

MOST_BINS, LEAST_IN_BIN = 10, 10
"""Bins of confidence, and observations that each has room for."""
POISSON = 0.25
"""Added to the variance of a count of hits: near 0 and 1 a normal interval holds by it."""
DRAWS, SEED, HALVINGS = 999, 0, 24
CENTRE = math.sqrt(2 / math.pi)
"""The mean of a standard normal variable's absolute value."""


class CalibrationError(NamedTuple):
    """The expected calibration error (ECE) of some observations.

    Attributes:
        error: less what chance adds, with its interval; its lower end is 0 where the observations
            are compatible with perfect calibration.
        plain: as it is published: the mean of the bins' absolute gaps. Chance makes it larger.
        calibrated: what `plain` would be on average, were the confidences exact.
        bins: how many there are.
    """

    error: Estimate
    plain: float
    calibrated: float
    bins: int


def bins_of(confidence: Float[np.ndarray, " observations"]) -> Int[np.ndarray, " observations"]:
    """The bin of each confidence, from 0: of equal numbers of observations, equal ones in one.

    Ten, or fewer where they would hold under ten observations.
    """
    n = len(confidence)
    wanted = max(1, min(MOST_BINS, n // LEAST_IN_BIN))
    first = pd.Series(confidence).rank(method="min").to_numpy() - 1
    return np.asarray(pd.factorize((first * wanted / max(n, 1)).astype(int), sort=True)[0])


def over_confidence(
    confidence: Float[np.ndarray, " observations"],
    hits: Bool[np.ndarray, " observations"],
    clusters: np.ndarray,
) -> Estimate:
    """Mean confidence minus the share of hits, over clusters; tested against none.

    The t interval of `clustered`, but never narrower than hits by exactly these probabilities would
    make it: where all is right, hits don't vary, and say little about how often they would not be.
    From 8 clusters on it holds the truth in 94 % of cases or more of a calibrated
    reader, and in 92 % or more where confidences are too large. Source: ours.

    Args:
        confidence: the probability of being right.
        hits: whether it was.
        clusters: the cluster of each observation.
    """
    gaps, codes = confidence - hits, pd.factorize(np.asarray(clusters))[0]
    if not (n := len(gaps)):
        return Estimate(NAN, NAN, NAN, 0)
    center, units = float(gaps.mean()), int(codes.max()) + 1
    if units < 2:
        return Estimate(center, NAN, NAN, units)
    variance, freedom = sandwich(gaps - center, codes)
    own = (float((confidence * (1 - confidence)).sum()) + POISSON) / n**2
    error = math.sqrt(max(variance, own))
    return t_estimate(center, error, freedom, units).within(-1.0, 1.0)


def calibration_error(
    confidence: Float[np.ndarray, " observations"],
    hits: Bool[np.ndarray, " observations"],
    clusters: np.ndarray,
) -> CalibrationError:
    """The expected calibration error in bins of equal mass: the mean of |confidence - hits|.

    Chance makes the plain error larger, the more so the fewer observations there are: of 100 hits
    by exact probabilities of .8 in ten bins it is .1. So the estimate is that of gaps that are the
    bins' own times one factor, for which the plain error is to be expected as it was found. The
    interval has those factors for which so large, and so small, a one would be found in 2.5 % of
    cases, and all that chance could hide; it is cut by the interval of the mean over-confidence,
    than whose size no such error is smaller. Gaps vary as clusters do, and at least as hits by
    exact probabilities. A calibrated reader's interval begins at 0 in 94 % of cases or more. Within
    a bin gaps of either sign cancel. Source: ours; equal mass after Nguyen and O'Connor 2015, the
    bias after Bröcker 2012.

    Args:
        confidence: the probability of being right.
        hits: whether it was.
        clusters: the cluster of each observation.
    """
    codes = pd.factorize(np.asarray(clusters))[0]
    if not (n := len(confidence)):
        return CalibrationError(Estimate(NAN, NAN, NAN, 0), NAN, NAN, 0)
    bins = bins_of(confidence)
    sizes = np.bincount(bins).astype(float)
    count, units, weights = len(sizes), int(codes.max()) + 1, sizes / n
    gaps = np.bincount(bins, weights=confidence - hits) / sizes
    plain = float(weights @ np.abs(gaps))
    if units < 2:
        return CalibrationError(Estimate(NAN, NAN, NAN, units), plain, NAN, count)

    rest = (confidence - hits - gaps[bins]) / sizes[bins]
    sums = np.bincount(codes * count + bins, weights=rest, minlength=units * count)
    parts = sums.reshape(units, count) / np.sqrt(1 - np.bincount(codes)[:, None] / n)
    own = np.bincount(bins, weights=confidence * (1 - confidence))
    seen = np.sqrt((parts**2).sum(axis=0))
    alone = np.minimum(CENTRE * np.sqrt(own), 2 * own) / sizes  # 2: of hits that hardly ever fail
    chance = np.maximum(CENTRE * seen, alone)

    covariance = parts.T @ parts
    lacking = (own + POISSON) / sizes**2 - np.diag(covariance)
    covariance[np.diag_indices(count)] += np.maximum(lacking, 0.0)
    _, freedom = sandwich(confidence - hits, codes)
    noise = _noise(covariance, freedom)

    low = _factor(lambda a: 1 - _under(plain, a * gaps + noise, weights), (1 - LEVEL) / 2)
    high = _factor(lambda a: 1 - _under(plain, a * gaps + noise, weights), (1 + LEVEL) / 2)
    middle = _factor(lambda a: float(weights @ _folded(a * gaps, chance / CENTRE)), plain)
    hidden = float(np.quantile(np.abs(noise) @ weights, (1 + LEVEL) / 2))
    over = over_confidence(confidence, hits, clusters)
    least = max(low * plain, over.low, -over.high)  # bins' gaps aren't smaller than their mean
    most = max(high * plain, hidden, -over.low, over.high)
    ends = least, min(most, 1.0)
    error = float(np.clip(middle * plain, *ends))
    return CalibrationError(Estimate(error, *ends, units), plain, float(weights @ chance), count)


def _noise(covariance: Float[np.ndarray, "bins bins"], freedom: float) -> np.ndarray:
    """Draws of the bins' errors, [draws, bins]: t along each principal axis, always the same."""
    values, vectors = np.linalg.eigh(covariance)
    rng = np.random.default_rng(SEED)
    size = DRAWS, len(values)
    student = rng.standard_normal(size) / np.sqrt(rng.chisquare(freedom, size) / freedom)
    drawn: np.ndarray = (student * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return drawn


def _under(plain: float, gaps: np.ndarray, weights: np.ndarray) -> float:
    """The share of draws whose plain error is smaller."""
    return float((np.abs(gaps) @ weights < plain).mean())


def _folded(middle: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """The mean of a normal variable's absolute value."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(spread > 0, middle / spread, np.inf)
    inner = np.exp(-(z**2) / 2)
    far: np.ndarray = spread * CENTRE * inner + middle * (1 - 2 * special.ndtr(-z))
    return np.where(spread > 0, far, np.abs(middle))


def _factor(rising: Callable[[float], float], wanted: float) -> float:
    """The factor from 0 on at which a rising function has a value: 0 where it begins above it."""
    low, high = 0.0, 1.0
    if rising(low) >= wanted:
        return 0.0
    while rising(high) < wanted and high < 2**10:
        low, high = high, 2 * high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2
