"""Losses over placements against an enumeration of all of them."""

import itertools
import math

import numpy as np
import pytest

from mdlm_probe.likelihood.placements import run_nll, runs_of


def logs(slots, tokens, seed):
    return np.log(np.random.default_rng(seed).uniform(0.01, 0.3, (slots, tokens)))


@pytest.mark.parametrize(("slots", "tokens"), [(1, 1), (3, 3), (4, 2), (6, 3), (3, 0)])
@pytest.mark.parametrize("with_slack", [True, False])
def test_every_placement_is_summed_or_averaged(slots, tokens, with_slack):
    own, slack = logs(slots, tokens, slots), logs(slots, 1, 99)[:, 0]
    every = list(itertools.combinations(range(slots), tokens))
    total = 0.0
    for chosen in every:
        logp = sum(own[slot, number] for number, slot in enumerate(chosen))
        if with_slack:
            logp += sum(slack[slot] for slot in range(slots) if slot not in chosen)
        total += math.exp(logp)
    expected = -math.log(total if with_slack else total / len(every))
    assert run_nll(own, slack if with_slack else None) == pytest.approx(expected, rel=1e-12)


def test_probabilities_of_all_texts_sum_to_one_without_slack():
    """An even mixture of placements is a distribution over texts; a bare sum would not be."""
    rows = np.random.default_rng(3).dirichlet(np.ones(3), 4)  # 4 slots, a vocabulary of 3
    texts = itertools.product(range(3), repeat=2)
    total = sum(math.exp(-run_nll(np.log(rows[:, list(text)]), None)) for text in texts)
    assert total == pytest.approx(1, rel=1e-12)


def test_runs_are_maximal():
    assert runs_of([3, 4, 7, 9, 10, 11]) == [[0, 1], [2], [3, 4, 5]]
    assert runs_of([]) == []
