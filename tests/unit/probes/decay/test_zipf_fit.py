"""Zipf's law fitted: exact laws are found, and nothing is nearer than what is found."""

import numpy as np
import pytest

from mdlm_probe.probes.decay import zipf_fit


def law(exponent, ranks):
    weights = np.arange(1, ranks + 1, dtype=float) ** -exponent
    return weights / weights.sum()


@pytest.mark.parametrize("ranks", [2, 500, 130_000])
@pytest.mark.parametrize("exponent", [0.3, 1.0, 2.31, 8.0])
def test_an_exact_law_is_found_in_any_order_and_among_impossible_tokens(exponent, ranks):
    probs = np.concatenate([law(exponent, ranks), np.zeros(7)])
    probs = np.random.default_rng(0).permutation(probs)
    found = zipf_fit.ranked(probs)
    assert found.support == ranks
    assert zipf_fit.exponent(found.log_rank, ranks) == pytest.approx(exponent, abs=1e-6)
    assert zipf_fit.misfit(found, exponent) == pytest.approx(0, abs=1e-9)
    assert found.entropy == pytest.approx(-(law(exponent, ranks) @ np.log(law(exponent, ranks))))


def test_no_other_exponent_is_nearer():
    probs = np.sort(np.random.default_rng(1).dirichlet(np.full(60, 0.3)))[::-1]
    found = zipf_fit.ranked(probs)
    best = zipf_fit.exponent(found.log_rank, found.support)
    grid = np.arange(0, 6, 0.001)
    divergences = [probs @ np.log(probs / law(s, 60)) for s in grid]
    assert best == pytest.approx(grid[np.argmin(divergences)], abs=2e-3)
    assert zipf_fit.misfit(found, best) == pytest.approx(min(divergences), abs=1e-5)


def test_the_ends():
    even, alone = zipf_fit.ranked(np.full(9, 1 / 9)), zipf_fit.ranked(np.eye(9)[0])
    assert zipf_fit.exponent(even.log_rank, even.support) == pytest.approx(0, abs=1e-9)
    assert (alone.support, alone.log_rank) == (1, 0)
    assert zipf_fit.exponent(0.0, 9) == zipf_fit.MOST
