"""The bound on marginals: the protocol's values, and simulation of the setting it is proved for."""

import numpy as np
import pytest

from mdlm_probe.probes.decay import zipf_bound


def shares(exponent, ranks):
    weights = np.arange(1, ranks + 1) ** -exponent
    return weights / weights.sum()


def test_values_of_the_protocol():
    largest, squares = zipf_bound.moments(2.31, 130_000)
    assert 1 / largest == pytest.approx(1.42714, abs=1e-5)
    assert largest == pytest.approx(0.7007, abs=5e-5)
    assert squares == pytest.approx(0.515, abs=5e-4)
    assert shares(2.31, 130_000)[1:3] == pytest.approx([0.1413, 0.0554], abs=5e-5)


def simulated(exponent, ranks, depth, draws, weights=None, seed=0):
    """Mean of the largest marginal at distances 1..depth, and of the greedy token's.

    A tree of contexts, each with the law's ranks in an order of its own; `weights` make some tokens
    come first more often. Also the tokens' mean probability: their unigrams.
    """
    rng, law = np.random.default_rng(seed), shares(exponent, ranks)
    largest, greedy = np.zeros((2, depth))
    unigram = np.zeros(ranks)
    for _ in range(draws):
        # paths by ranks: a path's weight doesn't depend on the orders
        path = np.ones(1)
        for d in range(depth):
            noise = rng.gumbel(size=(len(path), ranks))
            orders = np.argsort(-(noise + (0 if weights is None else np.log(weights))), axis=1)
            rows = np.empty((len(path), ranks))
            np.put_along_axis(rows, orders, law[None], axis=1)
            marginal = path @ rows
            largest[d] += marginal.max() / draws
            greedy[d] += marginal[orders[0, 0]] / draws
            unigram += rows.mean(axis=0) / draws / depth
            path = (path[:, None] * law).ravel()
    return largest, greedy, unigram


@pytest.mark.parametrize(
    ("exponent", "ranks", "depth"), [(2.31, 10, 4), (1.2, 8, 4), (0.5, 12, 3), (4.0, 6, 5)]
)
@pytest.mark.parametrize("skew", [0.0, 1.0])
@pytest.mark.slow
def test_the_expected_largest_marginal_lies_between_its_bounds(exponent, ranks, depth, skew):
    weights = np.arange(1, ranks + 1) ** -skew
    largest, greedy, unigram = simulated(exponent, ranks, depth, 400, weights)
    steps, floor = np.arange(1, depth + 1), float(unigram.max())
    slack = 0.01
    assert (largest <= zipf_bound.bound(steps, floor, exponent, ranks) + slack).all()
    assert (largest >= zipf_bound.greedy(steps, 0.0, exponent, ranks) - slack).all()
    assert (greedy <= zipf_bound.greedy(steps, floor, exponent, ranks) + slack).all()
    if skew == 0:
        assert greedy == pytest.approx(
            zipf_bound.greedy(steps, 1 / ranks, exponent, ranks), abs=5e-3
        )


def test_the_greedy_tokens_curve_is_no_bound():
    """Elsewhere paths meet by chance: where the law is flat, that makes the largest marginal."""
    largest, _, _ = simulated(0.5, 12, 3, 400)
    steps = np.arange(1, 4)
    assert largest[2] > zipf_bound.greedy(steps, 1 / 12, 0.5, 12)[2] + 0.002
    assert largest[2] < zipf_bound.bound(steps, 1 / 12, 0.5, 12)[2]


def test_shared_contexts_break_the_bound():
    """A language that forgets keeps its certainty: the proof needs every path to be a context."""
    rng, law = np.random.default_rng(1), shares(2.31, 40)
    order = rng.permutation(40)
    # every token is followed by the next of a ring with the largest probability, and nothing
    # else differs: the marginal stays above what independent contexts allow
    table = np.stack([law[np.argsort(np.roll(order, k))] for k in range(40)])
    state = table[0]
    for _ in range(29):
        state = state @ table
    rows = np.tile(law[np.argsort(order)], (40, 1))
    assert (state @ rows).max() == pytest.approx(law[0])
    assert law[0] > zipf_bound.bound(np.array([30]), 1 / 40, 2.31, 40)[0]


def test_curves_fall_to_the_floor_and_never_above_one():
    steps = np.arange(1, 400)
    for curve in (zipf_bound.bound, zipf_bound.greedy):
        values = curve(steps, 0.06, 2.31, 130_000)
        assert (np.diff(values) <= 0).all()
        assert values[-1] == pytest.approx(0.06)
        assert curve(steps, 0.9, 2.31, 130_000).max() <= 1
    ends = (
        zipf_bound.greedy(steps, 0.06, 2.31, 130_000),
        zipf_bound.bound(steps, 0.06, 2.31, 130_000),
    )
    assert (ends[0] <= ends[1]).all()
    assert (ends[0][0], ends[1][0]) == pytest.approx((0.7007, 0.7007), abs=1e-3)
