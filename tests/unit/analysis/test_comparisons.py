"""Bradley-Terry strengths: closed forms, brute force, separation, a covariate, coverage."""

import math

import numpy as np
import pytest
from scipy import optimize

from mdlm_probe.analysis import stats

RNG = np.random.default_rng(0)


def logit(share):
    return math.log(share / (1 - share))


def test_two_models_are_the_logit_of_the_win_rate_apart():
    scores = RNG.choice([0, 0.25, 0.5, 1], size=37)
    first, second = stats.bradley_terry(np.tile([0, 1], (37, 1)), scores, range(37)).models
    share = scores.mean()
    assert first.mean - second.mean == pytest.approx(logit(share), abs=1e-8)
    assert first.mean == pytest.approx(-second.mean)
    # the delta method on the mean of independent prompts
    error = scores.std(ddof=1) / math.sqrt(37) / (share * (1 - share))
    from scipy.stats import t

    assert 2 * (first.high - first.mean) == pytest.approx(t.ppf(0.975, 36) * error, rel=1e-6)
    turned = stats.bradley_terry(np.tile([1, 0], (37, 1)), 1 - scores, range(37)).models
    assert turned[0].mean == pytest.approx(first.mean), "who is named first doesn't matter"


def games(strengths, prompts, rng, lengths=None, effect=0.0):
    """Every model against every other at every prompt, and how their lengths differ."""
    pairs, scores, units, gaps = [], [], [], []
    for prompt in range(prompts):
        own = rng.normal(size=len(strengths)) if lengths is None else lengths(prompt)
        for i in range(len(strengths)):
            for j in range(i):
                gap = math.tanh(own[i] - own[j])
                far = strengths[i] - strengths[j] + effect * gap
                pairs.append((i, j))
                scores.append(float(rng.random() < 1 / (1 + math.exp(-far))))
                units.append(prompt)
                gaps.append(gap)
    return np.array(pairs), np.array(scores), units, np.array(gaps)


def test_strengths_are_the_most_likely_ones():
    """Against a search of the likelihood that knows nothing of designs or Newton."""
    pairs, scores, units, _ = games([1.0, 0.0, -0.5, -0.5], 40, np.random.default_rng(1))
    scores[::7] = 0.5

    def loss(values):
        far = values[pairs[:, 0]] - values[pairs[:, 1]]
        return (np.logaddexp(0, far) - scores * far).sum() + values.mean() ** 2

    best = optimize.minimize(loss, np.zeros(4), tol=1e-12).x
    found = stats.bradley_terry(pairs, scores, units).models
    assert [one.mean for one in found] == pytest.approx(best - best.mean(), abs=1e-4)
    assert sum(one.mean for one in found) == pytest.approx(0, abs=1e-9)


def test_intervals_hold_the_truth():
    truth, held, rng = np.array([0.6, 0.0, -0.6]), [], np.random.default_rng(2)
    for _ in range(150):
        pairs, scores, units, _ = games(truth, 30, rng)
        found = stats.bradley_terry(pairs, scores, units).models
        held += [one.low <= value <= one.high for one, value in zip(found, truth, strict=True)]
    assert 0.91 <= np.mean(held) <= 0.985


def test_alike_verdicts_of_a_prompt_are_no_further_evidence():
    """Each comparison four times over: prompts are the units, so nothing changes."""
    pairs, scores, units, _ = games([0.4, -0.4], 30, np.random.default_rng(3))
    once = stats.bradley_terry(pairs, scores, units).models[0]
    many = stats.bradley_terry(np.tile(pairs, (4, 1)), np.tile(scores, 4), units * 4).models[0]
    assert many.mean == pytest.approx(once.mean)
    assert many.high - many.low == pytest.approx(once.high - once.low, rel=0.02)
    apart = stats.bradley_terry(np.tile(pairs, (4, 1)), np.tile(scores, 4), range(120)).models[0]
    assert apart.high - apart.low < 0.6 * (once.high - once.low)


def test_units_that_are_all_alike_have_no_interval():
    """In every prompt one model wins, and another ties with both: nothing tells how others vary."""
    pairs = np.tile([[0, 1], [0, 2], [1, 2]], (5, 1))
    units = [prompt for prompt in range(5) for _ in range(3)]
    found = stats.bradley_terry(pairs, np.tile([1.0, 0.5, 0.5], 5), units).models
    assert found[0].mean > found[2].mean > found[1].mean
    assert all(math.isnan(one.low) for one in found)


@pytest.mark.parametrize("win", [0.25, 0.5])
def test_one_comparison_has_a_strength_and_no_interval(win):
    """And no warning, though nothing is left over to tell how good the fit is."""
    one, other = stats.bradley_terry(np.array([[0, 1]]), np.array([win]), ["a"]).models
    assert one.mean - other.mean == pytest.approx(logit(win))
    assert math.isnan(one.low)


def test_as_many_terms_as_comparisons_have_no_interval():
    """Two prompts settle a strength and what length brings, and leave nothing that varies."""
    pairs, scores, longer = np.array([[0, 1], [0, 1]]), np.array([0.25, 0.5]), np.array([1.0, -1.0])
    found = stats.bradley_terry(pairs, scores, ["a", "b"], longer)
    assert found.models[0].mean - found.models[1].mean == pytest.approx(logit(0.25) / 2)
    assert found.covariate.mean == pytest.approx(logit(0.25) / 2)
    assert all(math.isnan(one.low) for one in (*found.models, found.covariate))


def test_who_never_lost_is_infinitely_far_above():
    pairs = np.array([[0, 1], [0, 2], [1, 2], [1, 2], [1, 2]])
    top, middle, bottom = stats.bradley_terry(
        pairs, np.array([1.0, 1.0, 1.0, 1.0, 0.0]), [0, 0, 0, 1, 2]
    ).models
    assert top.mean == math.inf
    assert math.isnan(top.low)
    assert middle.mean - bottom.mean == pytest.approx(logit(2 / 3)), "of their own comparisons"
    both = stats.bradley_terry(np.array([[0, 1]] * 3), np.ones(3), range(3)).models
    assert [one.mean for one in both] == [math.inf, -math.inf]
    chain = stats.bradley_terry(np.array([[0, 1], [1, 2]]), np.ones(2), range(2)).models
    assert [one.mean for one in chain][::2] == [math.inf, -math.inf]
    assert math.isnan(chain[1].mean), "below one and above the other"


def test_models_that_nothing_ties_together_are_not_compared():
    pairs = np.array([[0, 1], [0, 1], [2, 3], [2, 3]])
    found = stats.bradley_terry(pairs, np.array([1.0, 0, 1, 0]), range(4)).models
    assert all(math.isnan(one.mean) for one in found)
    assert stats.bradley_terry(np.empty((0, 2), int), np.empty(0), []).models == ()


def test_a_covariate_is_told_from_strength():
    rng = np.random.default_rng(4)
    pairs, scores, units, gaps = games([0.5, -0.5], 2000, rng, effect=2.0)
    found = stats.bradley_terry(pairs, scores, units, gaps)
    assert found.covariate.low <= 2.0 <= found.covariate.high
    assert found.covariate.p < 1e-6
    gap = 2 * found.models[1].mean
    assert gap == pytest.approx(-1.0, abs=0.25)
    none = stats.bradley_terry(pairs, scores, units, np.zeros(len(pairs)))
    assert none.covariate is None
    assert none.models == stats.bradley_terry(pairs, scores, units).models


def test_a_covariate_that_foretells_everything_is_said_to():
    gaps = np.array([0.3, -0.2, 0.8, -0.9])
    pairs = np.tile([0, 1], (4, 1))
    found = stats.bradley_terry(pairs, (gaps > 0).astype(float), range(4), gaps)
    assert found.covariate.mean == math.inf
    assert math.isnan(found.models[0].mean)
    assert stats.bradley_terry(pairs, (gaps < 0) * 1.0, range(4), gaps).covariate.mean == -math.inf
    won = stats.bradley_terry(pairs, np.ones(4), range(4), gaps)
    assert math.isnan(won.covariate.mean), "the model alone foretells that"
    longer = stats.bradley_terry(pairs, np.array([1.0, 0, 1, 0]), range(4), np.full(4, 0.5))
    assert math.isnan(longer.covariate.mean), "always as much longer: no telling which it is"
