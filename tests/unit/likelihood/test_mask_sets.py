"""Draws on worlds whose bound is known in closed form: unbiased, and as precise as they say."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from simulations import between, repeats, simulation, tolerance, whole

from mdlm_probe.likelihood.mask_sets import MaskSetSample, bernoulli, complements


class World:
    """A continuation whose tokens help each other in pairs: a log-probability of any masked set.

    A masked set has the sum of its tokens' own log-probabilities, and of what its pairs cost.
    """

    def __init__(self, length):
        rng = np.random.default_rng(length)
        self.length = length
        self.own = -rng.gamma(2, 1, length)
        self.pairs = rng.normal(0.3, 1.2, (length, length)) / length
        np.fill_diagonal(self.pairs, 0)

    def sums(self, sets):
        """Of each set the sum of its tokens' log-probabilities, [sets]."""
        chosen = np.zeros((len(sets), self.length))
        for row, places in enumerate(sets):
            chosen[row, list(places)] = 1
        return chosen @ self.own + ((chosen @ self.pairs) * chosen).sum(1)

    def expected(self, count):
        """The mean over all sets of this many tokens."""
        pairs = count * (count - 1) / (self.length * max(1, self.length - 1))
        return count / self.length * self.own.sum() + pairs * self.pairs.sum()

    @property
    def bound(self):
        return sum(self.expected(count) / count for count in range(1, self.length + 1))


def played(world, made, rounds):
    """Many estimates at once: `made` are filled in, round after round."""
    for passes in rounds:
        new = [drawn.more(passes) for drawn in made]
        sums = iter(world.sums([draw.places for draws in new for draw in draws]))
        for drawn, draws in zip(made, new, strict=True):
            drawn.add([draw.weight * next(sums) for draw in draws])
    return np.array([drawn.result() for drawn in made]).T


def plays(world, make, passes, count, first=0):
    made = [make(world.length, passes, seed, first) for seed in range(count)]
    values, errors = played(world, made, [first, passes] if first else [passes])
    return values, errors, np.array([drawn.freedom() for drawn in made])


def near(values, expected):
    """Whether a mean is within three standard errors."""
    return abs(values.mean() - expected) < 3 * values.std(ddof=1) / math.sqrt(len(values))


@pytest.mark.parametrize("length", [2, 3, 6, 7])
def test_the_closed_form_is_the_mean_over_all_sets(length):
    world = World(length)
    for count in range(1, length + 1):
        sums = world.sums(list(itertools.combinations(range(length), count)))
        assert sums.mean() == pytest.approx(world.expected(count))


# ---------------------------------------------------------------------- no bias


@pytest.mark.parametrize("length", range(1, 8))
def test_where_all_sets_fit_nothing_is_drawn(length):
    world = World(length)
    for passes in (2**length - 1, 2**length + 3):
        made = complements(length, passes, 0)
        ((value,), (error,)) = played(world, [made], [passes])
        assert value == pytest.approx(world.bound, abs=1e-12)
        assert (error, made.freedom(), made.passes) == (0, math.inf, 2**length - 1)
    assert length < 3 or complements(length, 2**length - 2, 0).strata, "one set too many is drawn"


@simulation
@pytest.mark.parametrize("first", [0, 16])
@pytest.mark.parametrize(("length", "passes"), [(7, 17), (8, 33), (9, 64), (10, 128), (40, 100)])
def test_the_mean_over_seeds_is_the_bound(length, passes, first):
    world = World(length)
    values, errors, _ = plays(world, complements, passes, repeats(400), first)
    assert values.std() > 0.05, "something is drawn"
    assert near(values, world.bound)
    assert np.mean(errors**2) == pytest.approx(values.var(), rel=tolerance(0.15))


@simulation
@pytest.mark.parametrize(("length", "passes"), [(1, 16), (3, 17), (8, 64)])
def test_bernoulli_estimates_the_same_bound(length, passes):
    world = World(length)
    values, errors, _ = plays(world, bernoulli, passes, repeats(1500))
    assert near(values, world.bound)
    assert np.mean(errors**2) == pytest.approx(values.var(), rel=tolerance(0.15))


@pytest.mark.slow
def test_bernoulli_is_noisy_for_one_token_as_published():
    """Standard deviation .22 of the value at 128 draws: the weight alone varies."""
    world = World(1)
    values, _, _ = plays(world, bernoulli, 128, 500)
    assert 0.15 < values.std() / abs(world.bound) < 0.3
    assert plays(world, complements, 5, 2)[0] == pytest.approx([world.bound] * 2)


# ---------------------------------------------------------------------- precision


@simulation
@pytest.mark.parametrize(
    ("length", "passes", "first"),
    [(7, 16, 0), (8, 64, 16), (10, 33, 0), (12, 64, 0), (24, 128, 16), (40, 128, 0)],
)
@pytest.mark.slow
def test_intervals_hold_the_bound_as_often_as_they_say(length, passes, first):
    world = World(length)
    runs = repeats(2000)
    values, errors, freedom = plays(world, complements, passes, runs, first)
    reach = stats.t.ppf(0.975, freedom) * errors
    covered = np.mean(abs(values - world.bound) <= reach)
    print(f"{length} tokens, {passes} passes, rounds from {first}: {covered:.3f}")
    assert between(covered, 0.93, 0.97, runs)


def published(world, passes, count):
    """The published estimator: a count from 1..L evenly, so many tokens, the sum times L/count."""
    rng, length, found = np.random.default_rng(0), world.length, []
    for _ in range(count):
        counts = rng.integers(1, length + 1, passes)
        sums = world.sums([rng.permutation(length)[:n] for n in counts])
        found.append(np.mean(sums * length / counts))
    return np.array(found)


@whole
@pytest.mark.parametrize(("length", "passes"), [(7, 64), (10, 128), (17, 32), (40, 128)])
def test_variance_is_below_the_published_estimators(length, passes):
    world = World(length)
    theirs = published(world, passes, 500)
    assert near(theirs, world.bound), "both estimate the same"
    ours, _, _ = plays(world, complements, passes, 500)
    ratio = theirs.var() / ours.var()
    print(f"{length} tokens, {passes} passes: variance {ratio:.2f} times as large as ours")
    assert ratio > 1.2


def test_a_standard_error_has_welchs_degrees_of_freedom():
    made = complements(24, 101, 0)
    played(World(24), [made], [101])
    parts = [(s.weight**2 * np.var(s.values, ddof=1) / len(s.values), s) for s in made.strata]
    assert len(parts) > 1
    rough = sum(own**2 / (len(s.values) - 1) for own, s in parts)
    assert made.freedom() == pytest.approx(sum(own for own, _ in parts) ** 2 / rough)
    one = complements(24, 16, 0)
    played(World(24), [one], [16])
    assert (len(one.strata), one.freedom()) == (1, pytest.approx(6)), "seven pairs"


# ---------------------------------------------------------------------- design


@pytest.mark.parametrize(("length", "passes"), [(7, 16), (8, 17), (9, 128), (33, 63)])
def test_every_token_is_scored_equally_often(length, passes):
    made = complements(length, passes, 3)
    draws = made.more(passes)
    whole, rest = draws[0], draws[1:]
    assert whole.places == tuple(range(length))
    for one, other in zip(rest[::2], rest[1::2], strict=True):
        assert sorted(one.places + other.places) == list(range(length))
    assert len(rest) == 2 * ((passes - 1) // 2)
    counts = np.bincount([place for draw in rest for place in draw.places], minlength=length)
    assert set(counts) == {(passes - 1) // 2}


@pytest.mark.parametrize("length", [7, 8, 40, 41])
def test_strata_have_observations_by_their_weight(length):
    for passes in (33, 128, 512):
        made = complements(length, passes, 0)
        if not made.strata:
            continue
        made.add([0.0] * len(made.more(passes)))
        units = (passes - 1) // 2
        weights = np.array([s.weight for s in made.strata])
        given = np.array([len(s.values) for s in made.strata])
        assert weights.sum() == pytest.approx(1)
        assert given.sum() == units
        assert abs(given - weights * units).max() < 1.5
        assert given.min() >= 6, "enough to tell a spread"


@pytest.mark.parametrize("make", [complements, bernoulli])
def test_rounds_go_on_where_they_stopped(make):
    def places(drawn, rounds):
        return [draw.places for passes in rounds for draw in _answered(drawn, passes)]

    def _answered(drawn, passes):
        new = drawn.more(passes)
        drawn.add([0.0] * len(new))
        return new

    alone = places(make(20, 64, 7, 16), [64])
    assert places(make(20, 64, 7, 16), [16, 32, 64]) == alone
    assert len(alone) in (63, 64)
    assert places(make(20, 64, 8, 16), [64]) != alone


def test_passes_are_those_that_the_network_makes():
    drawn: MaskSetSample = bernoulli(1, 64, 0)
    draws = drawn.more(64)
    drawn.add([0.0] * 64)
    assert drawn.passes == sum(bool(draw.places) for draw in draws) < 64
