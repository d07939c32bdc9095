"""Intervals and tests against closed forms and simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats as reference

from mdlm_probe import stats


def test_wilson_closed_form():
    z, k, n = reference.norm.ppf(0.975), 17, 40
    center = (k / n + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(k / n * (1 - k / n) / n + z**2 / (4 * n**2))
    found = stats.proportion(np.array([1] * k + [0] * (n - k)))
    assert (found.mean, found.n) == (k / n, n)
    assert (found.low, found.high) == pytest.approx((center - half, center + half))


def test_student_closed_form():
    x = np.array([1.0, 2.0, 4.0])
    half = reference.t.ppf(0.975, 2) * x.std(ddof=1) / np.sqrt(3)
    found = stats.mean(x)
    assert (found.low, found.high) == pytest.approx((x.mean() - half, x.mean() + half))
    assert found.p == pytest.approx(2 * reference.t.sf(x.mean() / x.std(ddof=1) * np.sqrt(3), 2))


def test_degenerate_means_are_said_not_guessed():
    assert np.isnan(stats.mean(np.array([0.5])).low)
    for value, p in ((0.0, 1.0), (0.5, float("nan"))):  # no spread: no interval, no certainty
        constant = stats.mean(np.full(5, value))
        assert constant.mean == value
        assert np.isnan([constant.low, constant.high]).all()
        assert constant.p == pytest.approx(p, nan_ok=True)


def test_mean_over_sets_weighs_sets_not_items():
    frame = pd.DataFrame({"set": ["a"] * 9 + ["b"], "correct": [1] * 9 + [0]})
    found = stats.mean_over(frame, "correct", "set")
    assert (found.mean, found.n) == (0.5, 2)


def test_paired_hits_is_mcnemars_exact_test():
    first = np.array([1] * 12 + [0] * 3 + [1] * 50)
    second = np.array([0] * 12 + [1] * 3 + [1] * 50)
    found = stats.paired_hits(first, second)
    tail = sum(reference.binom.pmf(k, 15, 0.5) for k in range(4))
    assert found.p == pytest.approx(2 * tail)
    assert found.mean == pytest.approx(9 / 65)
    assert stats.paired_hits(second, second).p == 1


@pytest.mark.parametrize("true", [0.1, 0.5, 0.9])
def test_coverage_of_wilson_and_student(true):
    rng = np.random.default_rng(0)
    draws = (rng.random((2000, 320)) < true).astype(int)
    covered = [e.low <= true <= e.high for e in map(stats.proportion, draws)]
    assert 0.93 <= np.mean(covered) <= 0.97
    sets = rng.normal(true, 0.1, (2000, 16))
    covered = [e.low <= true <= e.high for e in map(stats.mean, sets)]
    assert 0.93 <= np.mean(covered) <= 0.97


def test_holm_by_hand():
    """Sorted p times (3, 2, 1), never falling: .01*3, max(.03, .02*2), max(.04, .03*1)."""
    assert stats.holm([0.02, 0.01, 0.03]) == pytest.approx([0.04, 0.03, 0.04])
    kept = stats.holm([0.5, float("nan"), 0.01])
    assert kept[[0, 2]] == pytest.approx([0.5, 0.02])
    assert np.isnan(kept[1])
    assert stats.holm([]).shape == (0,)


def test_paired_is_the_mean_of_differences():
    found = stats.paired(np.array([1.0, 2.0, 4.0]), np.array([0.0, 1.5, 2.0]))
    expected = stats.mean(np.array([1.0, 0.5, 2.0]))
    assert found == expected


def test_bootstrap_of_a_mean_is_students_interval_nearly():
    rng = np.random.default_rng(1)
    rows = rng.normal(3, 2, (400, 1))
    found, expected = stats.bootstrap(rows, lambda m: m[..., 0]), stats.mean(rows[:, 0])
    assert found.mean == pytest.approx(expected.mean)
    assert found.low == pytest.approx(expected.low, abs=0.05)
    assert found.high == pytest.approx(expected.high, abs=0.05)
    assert np.isnan(stats.bootstrap(np.ones((5, 2)), lambda m: m[..., 0]).low)
    assert np.isnan(stats.bootstrap(np.ones((1, 2)), lambda m: m[..., 0]).low)
