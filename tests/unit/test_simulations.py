"""Simulations of a tenth of the repetitions still fail where the truth is out of bounds."""

import numpy as np
import pytest
from simulations import between, cases, spread


@pytest.mark.parametrize("true", [0.93, 0.95, 0.97])
@pytest.mark.slow
def test_what_is_within_bounds_fails_once_in_hundreds(true):
    shares = np.random.default_rng(0).binomial(60, true, 3000) / 60
    passed = [between(share, 0.93, 0.97, 60, exact=False) for share in shares]
    assert np.mean(passed) > 0.995


@pytest.mark.parametrize(("true", "least"), [(0.8, 0.5), (0.7, 0.95), (0.5, 0.999)])
@pytest.mark.slow
def test_what_is_far_out_of_bounds_is_seen(true, least):
    shares = np.random.default_rng(0).binomial(60, true, 3000) / 60
    failed = [not between(share, 0.93, 0.97, 60, exact=False) for share in shares]
    assert np.mean(failed) > least


def test_with_all_repetitions_bounds_are_as_written():
    assert between(0.93, 0.93, 0.97, 600, exact=True)
    assert not between(0.929, 0.93, 0.97, 600, exact=True)
    assert not between(0.971, 0.93, 0.97, 600, exact=True)


def test_a_share_of_the_cases_has_every_kind_in_its_order():
    pairs = [(a, b) for a in range(20) for b in "abcd"]
    assert cases(pairs, 4, whole=True) == pairs
    chosen = cases(pairs, 4, whole=False)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == 20
    assert {b for _, b in chosen} == set("abcd")
    assert len({a for a, _ in chosen}) > 10


def test_a_spread_share_has_all_pairs_of_the_other_axes():
    axes = range(3), "ab", range(5)
    assert len(spread(*axes, every=3, whole=True)) == 30
    chosen = spread(*axes, every=3, whole=False)
    assert len(chosen) == len(set(chosen)) == 10
    assert {values[1:] for values in chosen} == {(b, c) for b in "ab" for c in range(5)}
    assert {values[0] for values in chosen} == set(range(3))
