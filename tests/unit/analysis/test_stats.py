"""Intervals and tests against closed forms; see `test_stats_coverage` for simulations."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import stats as reference
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.stats import resampling


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


def test_wilson_is_statsmodels_but_next_to_0_and_1():
    for n in (5, 40, 200):
        for k in range(n + 1):
            found = stats.proportion(np.arange(n) < k)
            low, high = proportion_confint(k, n, method="wilson")
            few = 2 if n <= 50 else 3
            if 0 < k <= few:  # the mean of which a count of k or more has a chance of 5 %
                assert reference.poisson.sf(k - 1, n * found.low) == pytest.approx(0.05)
                assert found.low < low
            else:
                assert found.low == pytest.approx(low, abs=1e-12)
            if not 0 < n - k <= few:
                assert found.high == pytest.approx(high, abs=1e-12)
            other = stats.proportion(np.arange(n) < n - k)
            assert (other.low, other.high) == pytest.approx((1 - found.high, 1 - found.low))


def test_nothing_and_one_thing_have_no_interval():
    none, one = np.array([]), np.array([1.0])
    ratio = partial(np.take, indices=0, axis=-1)
    for found, n in (
        (stats.mean(none), 0),
        (stats.mean(one), 1),
        (stats.proportion(none), 0),
        (stats.paired_hits(none, none), 0),
        (stats.paired_hits(one, 0 * one), 1),
        (stats.clustered(none, none), 0),
        (stats.share_over(none, none), 0),
        (stats.share_over(one, one), 1),
        (stats.clustered(np.arange(4.0), np.zeros(4)), 1),
        (stats.amount(none), 0),
        (stats.bootstrap(one[:, None], ratio), 1),
        (stats.resampled(none[:, None], ratio), 0),
        (stats.resampled(one[:, None], ratio), 1),
    ):
        assert found.n == n
        assert np.isnan([found.low, found.high]).all()
        assert np.isnan(found.mean) == (n == 0)
    assert np.isnan(
        [stats.cohen_dz(one), stats.minimum_detectable_effect(one), stats.cohen_dz(np.ones(3))]
    ).all()


def test_means_are_many_means():
    values = np.random.default_rng(0).normal(size=(7, 4))
    expected = [stats.mean(column) for column in values.T]
    found = np.array(stats.means(values)).T
    assert found == pytest.approx(np.array([(one.mean, one.low, one.high) for one in expected]))
    assert np.isnan(stats.means(values[:1])[1]).all()


def test_paired_hits_are_students_of_one_more_item():
    """Half an item better and half one worse: weights of a mean and of its variance, by hand."""
    gap = np.array([1, 1, 1, -1, 0, 0, 0, 0])
    values, weights = np.append(gap, [1, -1]), np.append(np.ones(8), [0.5, 0.5])
    middle = np.average(values, weights=weights)
    variance = np.average((values - middle) ** 2, weights=weights) / 8
    found = stats.paired_hits(gap, np.zeros(8))
    ends = reference.t(7, middle, np.sqrt(variance)).interval(0.95)
    assert found.mean == 0.25
    assert (found.low, found.high) == pytest.approx(ends)
    five = stats.paired_hits(np.arange(12) < 5, np.zeros(12))
    assert five.low > 0, "the test is stricter than the interval"
    assert five.p == pytest.approx(2 * 0.5**5)
    equal = stats.paired_hits(gap, gap)
    assert -0.4 < equal.low == -equal.high < 0, "items that all agree do not rule out others"


# ---------------------------------------------------------------------- clusters


def matrices(values, codes):
    """CR2's variance and Bell and McCaffrey's degrees of freedom, from their matrices."""
    n = len(values)
    hat = np.full((n, n), 1 / n)
    rest, columns = values - values.mean(), []
    for code in np.unique(codes):
        own = np.flatnonzero(codes == code)
        size, vectors = np.linalg.eigh(np.eye(len(own)) - hat[np.ix_(own, own)])
        half = vectors @ np.diag(size**-0.5) @ vectors.T
        columns.append((np.eye(n) - hat)[:, own] @ half @ np.full(len(own), 1 / n))
    parts = np.stack(columns, axis=1)
    spread = np.linalg.eigvalsh(parts.T @ parts)
    return ((parts.T @ rest) ** 2).sum(), spread.sum() ** 2 / (spread**2).sum()


def interval(variance, freedom, center):
    return reference.t(freedom, center, np.sqrt(variance)).interval(0.95)


def test_clusters_by_matrices():
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(5), [1, 2, 4, 9, 3])
    values = rng.normal(0.4, 1, 19) + rng.normal(size=5)[codes]
    variance, freedom = matrices(values, codes)
    found = stats.clustered(values, np.array(list("vwxyz"))[codes])
    assert (found.low, found.high) == pytest.approx(interval(variance, freedom, values.mean()))
    assert (found.mean, found.n) == (pytest.approx(values.mean()), 5)
    t = abs(values.mean()) / np.sqrt(variance)
    assert found.p == pytest.approx(2 * reference.t.sf(t, freedom))


def test_clusters_of_one_size_are_units_of_their_means():
    rng = np.random.default_rng(0)
    values, codes = rng.normal(size=24), np.tile(np.arange(6), 4)
    frame = pd.DataFrame({"value": values, "set": codes})
    expected = stats.mean_over(frame, "value", "set")
    found = stats.clustered(values, codes)
    assert (found.low, found.high, found.p, found.n) == pytest.approx(
        (expected.low, expected.high, expected.p, 6)
    )
    alone, each = stats.mean(values), stats.clustered(values, np.arange(24))
    assert (each.low, each.high, each.p) == pytest.approx((alone.low, alone.high, alone.p))


def test_items_within_sets_are_clustered_by_set():
    rng = np.random.default_rng(0)
    items = np.repeat(np.arange(40), 3)
    sets = items // 5
    values = rng.normal(size=120) + rng.normal(size=8)[sets]
    for both in ((items, sets), (sets, items)):
        found, expected = stats.clustered(values, *both), stats.clustered(values, sets)
        assert (found.low, found.high, found.p, found.n) == pytest.approx(
            (expected.low, expected.high, expected.p, 8)
        )


def test_crossed_clusters_add_up():
    rng = np.random.default_rng(1)
    items, sets = (axis.ravel() for axis in np.indices((12, 9)))
    values = rng.normal(size=108) + rng.normal(size=12)[items] + rng.normal(size=9)[sets]
    by = [matrices(values, codes) for codes in (items, sets, np.arange(108))]
    variance = by[0][0] + by[1][0] - by[2][0]
    assert variance > max(by[0][0], by[1][0])
    found = stats.clustered(values, items, sets)
    expected = interval(variance, max(by[:2])[1], values.mean())
    assert (found.low, found.high) == pytest.approx(expected)
    assert found == stats.clustered(values, sets, items)


def test_clusters_without_spread_have_no_interval():
    codes = np.repeat(np.arange(3), 2)
    for values, p in ((np.zeros(6), 1.0), (np.full(6, 0.3), np.nan)):
        found = stats.clustered(values, codes)
        assert np.isnan(found.low)
        assert found.p == pytest.approx(p, nan_ok=True)
    assert np.isnan(stats.clustered(np.array([1, -1.0] * 3), codes).low), "their means are all 0"


def test_shares_over_clusters_by_matrices():
    """Wilson's, of the items over their design effect, two misses of half alike sets added."""
    codes = np.repeat(np.arange(5), [4, 6, 4, 9, 7])
    hits = np.isin(np.arange(30), [0, 5, 6, 11, 20, 21], invert=True).astype(float)
    variance, freedom = matrices(hits, codes)
    seen, most = max(1, variance / (0.8 * 0.2 / 30)), (16 + 36 + 16 + 81 + 49) / 30
    n = 30 / ((6 * seen + 2 * (1 + most) / 2) / 8)
    t = reference.t.ppf(0.975, freedom)
    center = (0.8 + t**2 / (2 * n)) / (1 + t**2 / n)
    half = t / (1 + t**2 / n) * np.sqrt(0.16 / n + t**2 / (4 * n**2))
    found = stats.share_over(hits, np.array(list("vwxyz"))[codes])
    assert (found.low, found.high) == pytest.approx((center - half, center + half))
    assert (found.mean, found.n) == (pytest.approx(0.8), 5)
    other = stats.share_over(1 - hits, codes)
    assert (other.low, other.high) == pytest.approx((1 - found.high, 1 - found.low))


def test_shares_over_clusters_have_ends_at_all_hits():
    """16 sets of 20: as 320 / (1 + 19 / 2) items."""
    sets, n, t = np.repeat(np.arange(16), 20), 320 / 10.5, reference.t.ppf(0.975, 15)
    found = stats.share_over(np.ones(320), sets)
    assert (found.mean, found.low, found.high) == pytest.approx((1, n / (n + t**2), 1))
    alike = stats.share_over(np.repeat([1, 0, 1, 1, 1, 0, 1, 1], 20), np.repeat(np.arange(8), 20))
    least = reference.t.ppf(0.975, 7) * np.sqrt(0.75 * 0.25 / 8)
    assert alike.high - alike.low > least, "sets that are all right or all wrong count once"
    assert np.isnan(stats.share_over(np.array([1, 0, 1]), np.zeros(3)).low), "one set"


# ---------------------------------------------------------------------- tests and sizes


def test_holm_is_statsmodels():
    p = np.random.default_rng(0).random(20) ** 3
    assert stats.holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_welch_is_scipys():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.5, 1, 5), rng.normal(0, 3, 9)
    errors = [np.std(x, ddof=1) / np.sqrt(len(x)) for x in (first, second)]
    found = stats.welch(first.mean() - second.mean(), tuple(errors), (4, 8))
    expected = reference.ttest_ind(first, second, equal_var=False, alternative="greater")
    assert found == pytest.approx(expected.pvalue)
    assert stats.welch(1.96, (0.6, 0.8), (np.inf, np.inf)) == pytest.approx(0.025, abs=1e-4)
    assert (stats.welch(1, (0, 0), (1, 1)), stats.welch(0, (0, 0), (1, 1))) == (0, 1)


def test_effect_sizes_by_hand():
    gaps = np.array([1.0, 2.0, 4.0, 5.0])
    assert stats.cohen_dz(gaps) == pytest.approx(3 / np.sqrt(10 / 3))
    for n, power in ((4, 0.8), (30, 0.9)):
        gaps = np.random.default_rng(n).normal(size=n)
        effect = stats.minimum_detectable_effect(gaps, power) / gaps.std(ddof=1)
        assert TTestPower().power(effect, n, 0.05) == pytest.approx(power)
        assert stats.minimum_detectable_effect(10 * gaps + 7, power) == pytest.approx(
            10 * stats.minimum_detectable_effect(gaps, power)
        )


# ---------------------------------------------------------------------- functions of means


def test_bootstrap_of_a_mean_is_students_interval_nearly():
    rng = np.random.default_rng(1)
    rows = rng.normal(3, 2, (400, 1))
    found, expected = stats.bootstrap(rows, lambda m: m[..., 0]), stats.mean(rows[:, 0])
    assert found.mean == pytest.approx(expected.mean)
    assert found.low == pytest.approx(expected.low, abs=0.05)
    assert found.high == pytest.approx(expected.high, abs=0.05)
    assert np.isnan(stats.bootstrap(np.ones((5, 2)), lambda m: m[..., 0]).low)
    assert np.isnan(stats.bootstrap(np.ones((1, 2)), lambda m: m[..., 0]).low)


def test_bootstrap_follows_scales_and_keeps_within():
    rows = np.random.default_rng(2).exponential(size=(15, 2)) + np.array([0, 1])

    def ratio(means):
        return means[..., 0] / means[..., 1]

    found = stats.bootstrap(rows, ratio)
    more = stats.bootstrap(rows * [3, 1], lambda means: 5 + ratio(means))
    assert (more.low, more.high) == pytest.approx((5 + 3 * found.low, 5 + 3 * found.high))
    assert found == stats.bootstrap(rows, ratio), "the same rows have the same interval"
    student = stats.mean(rows[:, 0])
    wide = stats.bootstrap(rows, lambda means: means[..., 0])
    assert wide.low < student.low + 1e-9, "never narrower"
    assert wide.high > student.high, "longer on the side of the long tail"
    cut = stats.bootstrap(rows, ratio, (found.low / 2 + found.mean / 2, found.mean))
    assert (cut.low, cut.high) == pytest.approx((found.low / 2 + found.mean / 2, found.mean))
    assert stats.amount(np.array([0, 0, 0, 0, 5.0]), 2.0).high == 2
    assert stats.amount(np.array([0, 0, 0, 0, 5.0])).low == 0


def test_many_rows_come_in_batches():
    rows = np.random.default_rng(0).normal(3, 2, (4000, 1))
    expected = stats.mean(rows[:, 0])
    for interval in (stats.bootstrap, stats.resampled):
        found = interval(rows, lambda means: means[..., 0])
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.01)


def test_resampled_ends_are_values_that_occur():
    rows = np.random.default_rng(0).normal(0.5, 1, (20, 3))

    def largest(means):
        return means.argmax(axis=-1).astype(float)

    found = stats.resampled(rows, largest)
    assert {found.low, found.high} <= {0.0, 1.0, 2.0}
    assert found.low < found.high
    constant = stats.resampled(rows + np.array([9, 0, 0]), largest)
    assert (constant.mean, np.isnan(constant.low)) == (0, True)
    exact = stats.resampled(rows[:, :1], lambda means: means[..., 0])
    student = stats.mean(rows[:, 0])
    assert (exact.low, exact.high) == pytest.approx((student.low, student.high), abs=0.1)
    cut = stats.resampled(rows[:, :1], lambda means: means[..., 0], (0.45, 0.55))
    assert (cut.low, cut.high) == (0.45, 0.55)


def test_rows_that_nearly_all_agree_have_an_interval_of_their_own_size():
    """Ratios of 2 but for one row: resamples without it have next to no spread."""
    below = np.array([1.0, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3])
    above = 2 * below + 1e-4 * np.arange(12) % 3e-4
    above[0] = 1.0
    found = stats.bootstrap(np.stack([above, below], 1), lambda m: m[..., 0] / m[..., 1])
    assert 1 < found.low < found.mean < 2 < found.high < 3


def test_an_estimate_is_columns_cut_to_what_there_can_be_in_any_unit():
    found = stats.Estimate(0.5, -0.25, 1.5, 4, 0.01)
    assert found.columns("x") == {"x": 0.5, "x_low": -0.25, "x_high": 1.5}
    assert found.ends("x") == {"x_low": -0.25, "x_high": 1.5}
    assert found.within(0, 1) == stats.Estimate(0.5, 0.0, 1.0, 4, 0.01)
    assert found.within(-1, 2) == found
    assert found.times(100) == stats.Estimate(50.0, -25.0, 150.0, 4, 0.01)
    nothing = stats.mean(np.array([1.0]))
    assert np.isnan(list(nothing.within(0, 1).times(2).ends("x").values())).all()


# ---------------------------------------------------------------------- correlations


def test_a_correlation_is_pearsons_with_fishers_interval():
    first, second = np.random.default_rng(0).normal(size=(2, 8))
    expected = reference.pearsonr(first, first + second)
    ends = expected.confidence_interval()
    for draws in (1, 2):
        found = stats.correlation(*(np.tile(one, (draws, 1)) for one in (first, first + second)))
        values = (found.mean, found.p, found.low, found.high)
        assert values == pytest.approx((expected.statistic, expected.pvalue, ends.low, ends.high))
        assert found.n == 8
    several = stats.correlation(np.stack([first, second]), np.stack([second, second]))
    z = np.arctanh([np.corrcoef(first, second)[0, 1], 1 - 1e-12]).mean()
    assert several.mean == pytest.approx(np.tanh(z))


def test_what_does_not_vary_or_is_little_has_no_correlation():
    values = np.arange(8.0)[None]
    assert np.isnan(stats.correlation(values, np.full((1, 8), 0.3)).mean)
    assert np.isnan(stats.correlation(values[:, :2], values[:, :2]).mean)
    three = stats.correlation(values[:, :3], np.array([[0.0, 2.0, 1.0]]))
    assert three.mean == pytest.approx(0.5)
    assert np.isnan([three.low, three.high]).all()


@pytest.mark.parametrize("units", [12, 1500])
def test_bootstraps_errors_are_those_along_every_units_slope(units):
    """The variance from the columns' moments is that of what each unit adds, one by one."""
    rows = np.random.default_rng(units).gamma(1.0, size=(units, 3))
    counts = np.random.default_rng(1).multinomial(units, np.full(units, 1 / units), size=4)
    weights = counts / units
    found = resampling._studentised(
        rows, weights, lambda m: m[..., 0] * m[..., 1] - m[..., 2], 0.0, 0.0
    )
    for weight, error in zip(weights, found, strict=True):
        means = weight @ rows
        along = (rows - means) @ np.array([means[1], means[0], -1])
        own = np.sqrt(weight @ along**2 / (units - 1))
        assert error == pytest.approx((means[0] * means[1] - means[2]) / own, rel=1e-4)


def test_kept_counts_are_those_that_would_be_drawn(monkeypatch):
    monkeypatch.setattr(resampling, "_kept", {})
    sizes = (40, 1200, 7, 1200, 40)
    kept = [np.concatenate(list(resampling._weights(n))) for n in sizes]
    assert list(resampling._kept) == [7, 1200, 40]
    monkeypatch.setattr(resampling, "_kept", {})
    monkeypatch.setattr(resampling, "KEPT", resampling.RESAMPLES * 50)
    drawn = [np.concatenate(list(resampling._weights(n))) for n in sizes]
    assert list(resampling._kept) == [7, 40], "what is too large is drawn each time"
    for one, other, n in zip(kept, drawn, sizes, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(one.sum(axis=1), 1)
        assert one.shape == (resampling.RESAMPLES, n)
    first = np.random.default_rng(0).multinomial(7, np.full(7, 1 / 7), size=resampling.RESAMPLES)
    np.testing.assert_array_equal(kept[2], first / 7)
