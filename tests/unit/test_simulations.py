"""Simulations of a tenth of the repetitions still fail where the truth is out of bounds."""

import numpy as np
import pytest
from simulations import between


@pytest.mark.parametrize("true", [0.93, 0.95, 0.97])
@pytest.mark.slow
def test_what_is_within_bounds_fails_once_in_hundreds(true):
    shares = np.random.default_rng(0).binomial(60, true, 3000) / 60
    passed = [between(share, 0.93, 0.97, 60, exact=False) for share in shares]
    assert np.mean(passed) > 0.995


@pytest.mark.parametrize(("true", "least"), [(0.8, 0.5), (0.7, 0.95), (0.5, 0.999)])
def test_what_is_far_out_of_bounds_is_seen(true, least):
    shares = np.random.default_rng(0).binomial(60, true, 3000) / 60
    failed = [not between(share, 0.93, 0.97, 60, exact=False) for share in shares]
    assert np.mean(failed) > least


def test_with_all_repetitions_bounds_are_as_written():
    assert between(0.93, 0.93, 0.97, 600, exact=True)
    assert not between(0.929, 0.93, 0.97, 600, exact=True)
    assert not between(0.971, 0.93, 0.97, 600, exact=True)
