"""Calibration error, over-confidence and AUROC: closed forms, brute force, coverage."""

import itertools
import math

import numpy as np
import pytest
from scipy.special import ndtr
from simulations import between, repeats, simulation

from mdlm_probe.analysis import stats

RUNS = repeats(600)


def reader(rng, clusters=8, each=20, shape=(4, 1), over=0.0, apart=0.0):
    """Confidences that are a beta variable, moved towards 1 by a share; hits by the variable.

    Clusters differ in how often they hit, as a normal variable of width `apart` says.
    """
    p = rng.beta(*shape, clusters * each)
    names = np.repeat(np.arange(clusters), each)
    own = np.clip(p + 4 * p * (1 - p) * np.repeat(rng.normal(0, apart, clusters), each), 0, 1)
    return p + over * (1 - p), rng.random(len(p)) < own, names


# ---------------------------------------------------------------------- bins


def test_bins_have_equal_numbers_of_observations_and_split_no_ties():
    even = stats.bins_of(np.linspace(0, 1, 1000))
    assert np.bincount(even).tolist() == [100] * 10
    assert np.bincount(stats.bins_of(np.linspace(1, 0, 35))).tolist() == [12, 12, 11]
    assert set(stats.bins_of(np.full(50, 0.7))) == {0}
    tied = stats.bins_of(np.array([0.1] * 5 + [0.5] * 20 + [0.9] * 5))
    assert len(set(tied[5:25])) == 1
    assert (np.diff(tied) >= 0).all()
    assert stats.bins_of(np.array([0.3, 0.2])).tolist() == [0, 0]


def test_the_plain_error_is_that_of_a_count_by_hand():
    confidence = np.repeat([0.2, 0.6, 0.9], 10)
    hits = np.array([1] * 4 + [0] * 6 + [1] * 6 + [0] * 4 + [1] * 5 + [0] * 5, dtype=bool)
    found = stats.calibration_error(confidence, hits, np.arange(30))
    assert (found.bins, found.plain) == (3, pytest.approx((0.2 + 0.0 + 0.4) / 3))
    assert found.error.low <= found.error.mean <= min(found.plain, found.error.high)


# ---------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("shape", [(2.0, 1.0), (1.0, 1.0), (8.0, 3.0)])
def test_of_hits_by_the_square_of_a_beta_confidence_both_measures_are_its_moments(shape):
    """E[c] - E[c^2] of a beta variable: every gap has one sign."""
    a, b = shape
    true = a / (a + b) - a * (a + 1) / ((a + b) * (a + b + 1))
    rng = np.random.default_rng(1)
    confidence = rng.beta(a, b, 40_000)
    hits, names = rng.random(40_000) < confidence**2, np.arange(40_000) % 400
    over = stats.over_confidence(confidence, hits, names)
    error = stats.calibration_error(confidence, hits, names).error
    assert over.mean == pytest.approx(true, abs=0.006)
    assert error.mean == pytest.approx(true, abs=0.006)
    assert over.low < true < over.high
    assert error.low < true < error.high
    assert over.p < 1e-6


@simulation
def test_what_chance_adds_to_the_error_is_what_calibrated_readers_have():
    rng = np.random.default_rng(2)
    for shape in ((4, 1), (1, 1)):
        found = [
            stats.calibration_error(*reader(rng, clusters=40, each=5, shape=shape))
            for _ in range(RUNS)
        ]
        plain, expected, error = (
            np.mean(values)
            for values in zip(*((f.plain, f.calibrated, f.error.mean) for f in found), strict=True)
        )
        assert expected == pytest.approx(plain, rel=0.15)
        assert error < plain / 2  # most of it is taken away


# ---------------------------------------------------------------------- intervals


@simulation
@pytest.mark.parametrize("apart", [0.0, 0.1])
@pytest.mark.parametrize("each", [5, 50])
def test_a_calibrated_reader_does_not_look_miscalibrated(each, apart):
    rng = np.random.default_rng(3)
    drawn = [reader(rng, each=each, apart=apart) for _ in range(RUNS)]
    errors = [stats.calibration_error(*one).error for one in drawn]
    over = [stats.over_confidence(*one) for one in drawn]
    assert between(np.mean([e.low == 0 for e in errors]), 0.94, 1.0, RUNS)
    assert between(np.mean([o.low <= 0 <= o.high for o in over]), 0.94, 1.0, RUNS)


@simulation
@pytest.mark.parametrize("apart", [0.0, 0.1])
def test_an_over_confident_reader_is_found_and_its_size_is_held(apart):
    rng, true = np.random.default_rng(4), 0.4 * 0.2
    drawn = [reader(rng, each=60, over=0.4, apart=apart) for _ in range(RUNS)]
    errors = [stats.calibration_error(*one).error for one in drawn]
    assert between(np.mean([e.low > 0 for e in errors]), 0.75, 1.0, RUNS)  # .79 where hits vary
    assert between(np.mean([e.low <= true <= e.high for e in errors]), 0.93, 1.0, RUNS)
    over = [stats.over_confidence(*one) for one in drawn]
    assert between(np.mean([o.low <= true <= o.high for o in over]), 0.93, 1.0, RUNS)


def test_a_confident_reader_that_is_always_right_is_not_under_confident():
    names = np.arange(80) % 8
    sure = np.linspace(0.985, 0.995, 80)
    over = stats.over_confidence(sure, np.ones(80, dtype=bool), names)
    assert over.mean == pytest.approx(-0.01)
    assert over.low < 0 < over.high
    error = stats.calibration_error(sure, np.ones(80, dtype=bool), names).error
    assert (error.low, error.mean) == (0, pytest.approx(0, abs=2e-3))
    wrong = stats.over_confidence(sure, np.arange(80) % 10 > 0, names)
    assert wrong.low > 0


def test_one_cluster_has_no_interval_and_no_observation_no_error():
    one = stats.calibration_error(np.array([0.5, 0.8]), np.array([True, False]), np.zeros(2))
    assert one.plain == pytest.approx(0.15)
    assert math.isnan(one.error.low)
    assert math.isnan(stats.over_confidence(np.zeros(2), np.array([True, False]), np.ones(2)).low)
    none = stats.calibration_error(np.zeros(0), np.zeros(0, dtype=bool), np.zeros(0))
    assert math.isnan(none.plain)


# ---------------------------------------------------------------------- AUROC


def test_the_area_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(5)
    scores = rng.integers(0, 6, 40).astype(float)
    scores[:2] = np.inf, -np.inf
    hits = rng.random(40) < 0.6
    pairs = list(itertools.product(scores[hits], scores[~hits]))
    want = np.mean([(a > b) + (a == b) / 2 for a, b in pairs])
    found = stats.auroc(scores, hits, np.arange(40) % 8)
    assert found.mean == pytest.approx(want)
    assert found.low < want < found.high
    other = stats.auroc(-scores, hits, np.arange(40) % 8)
    assert (other.mean, other.low) == pytest.approx((1 - want, 1 - found.high), abs=1e-6)


@simulation
@pytest.mark.parametrize("apart", [0.0, 0.7, 2.0])
def test_the_area_of_two_normals_is_known_and_held(apart):
    true = float(ndtr(apart / math.sqrt(2)))
    rng = np.random.default_rng(6)
    hits = rng.random(40_000) < 0.3
    large = stats.auroc(rng.normal(size=40_000) + apart * hits, hits, np.arange(40_000))
    assert large.mean == pytest.approx(true, abs=0.008)
    held, names = [], np.repeat(np.arange(8), 12)
    for _ in range(RUNS):
        hits = rng.random(96) < 0.7
        alike = 0.6 * np.repeat(rng.normal(size=8), 12) + 0.8 * rng.normal(size=96)
        found = stats.auroc(alike + apart * hits, hits, names)
        held.append(found.low <= true <= found.high)
    assert between(np.mean(held), 0.93, 1.0, RUNS)


def test_clusters_that_are_all_hits_or_all_misses_widen_the_interval():
    rng = np.random.default_rng(7)
    names = np.repeat(np.arange(10), 20)
    hits = names < 5
    scores = np.repeat(rng.normal(size=10), 20)
    whole, each = (stats.auroc(scores, hits, own) for own in (names, np.arange(200)))
    assert whole.mean == each.mean
    assert whole.high - whole.low > 2 * (each.high - each.low)


def test_of_one_kind_there_is_no_area_and_of_a_perfect_one_an_interval():
    none = stats.auroc(np.array([0.1, 0.9]), np.array([True, True]), np.arange(2))
    assert math.isnan(none.mean)
    hits = np.arange(20) < 12
    best = stats.auroc(hits.astype(float), hits, np.arange(20))
    assert best.mean == best.high == 1
    assert 0.5 < best.low < 0.95
    few = stats.auroc(np.arange(20.0), np.arange(20) == 19, np.arange(20))
    assert few.low < best.low
    worst = stats.auroc(-hits.astype(float), hits, np.arange(20))
    assert worst.low == 0
    assert worst.high == pytest.approx(1 - best.low, abs=1e-6)
