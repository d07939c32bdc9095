"""Kappas against statsmodels, and their intervals over units."""

import numpy as np
import pytest
from statsmodels.stats.inter_rater import aggregate_raters, cohens_kappa
from statsmodels.stats.inter_rater import fleiss_kappa as fleiss

from mdlm_probe.analysis import stats

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 3, 60)
RATERS = np.where(RNG.random((60, 3)) < 0.7, TRUTH[:, None], RNG.integers(0, 3, (60, 3)))


def test_kappas_are_those_of_statsmodels():
    table = np.zeros((3, 3))
    np.add.at(table, (RATERS[:, 0], RATERS[:, 1]), 1)
    found = stats.cohen_kappa(RATERS[:, 0], RATERS[:, 1], range(60))
    known = cohens_kappa(table)
    assert found.mean == pytest.approx(known.kappa)
    # statsmodels' interval takes items for independent, as they are here
    assert found.low == pytest.approx(known.kappa_low, abs=0.08)
    assert found.high == pytest.approx(known.kappa_upp, abs=0.08)
    every = stats.fleiss_kappa(RATERS, range(60))
    assert every.mean == pytest.approx(fleiss(aggregate_raters(RATERS)[0]))
    assert every.low < every.mean < every.high


def test_alike_items_of_a_unit_tell_no_more():
    once = stats.cohen_kappa(RATERS[:, 0], RATERS[:, 1], range(60))
    four = np.tile(RATERS, (4, 1))
    many = stats.cohen_kappa(four[:, 0], four[:, 1], list(range(60)) * 4)
    assert (many.mean, many.low, many.n) == pytest.approx((once.mean, once.low, 60))


def test_one_category_tells_nothing():
    same = np.zeros(5, int)
    assert np.isnan(stats.cohen_kappa(same, same, range(5)).mean)
    assert np.isnan(stats.fleiss_kappa(np.zeros((5, 3), int), range(5)).mean)
    assert stats.cohen_kappa(same[:0], same[:0], []).n == 0
    perfect = stats.cohen_kappa(TRUTH, TRUTH, range(60))
    assert perfect.mean == 1
