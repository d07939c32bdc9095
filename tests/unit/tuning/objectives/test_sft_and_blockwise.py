"""Masked fine-tuning and blockwise training: literal losses, and which tokens are hidden."""

import math

import numpy as np
import pytest
import torch
from corrupted import END, MASK, TOKENS, VOCAB, gradient_holds, logits_for, moment, sample

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.tuning.objectives import blockwise, sft


def test_masked_tuning_is_a_literal_loop():
    objective, one = sft.plan(), sample(answer=12)
    rng = np.random.default_rng(4)
    share = rng.uniform(1e-3, 1)
    hidden = [i for i, draw in enumerate(rng.random(12)) if draw < share]
    item = objective.corrupt(one, TOKENS, moment(4))
    assert [place - 5 for place in item.places] == hidden
    assert all(item.rows[0, 5 + i] == (MASK if i in hidden else one.answer[i]) for i in range(12))
    logits = logits_for(item)
    probs = logits[0].softmax(-1)
    by_hand = -sum(math.log(probs[n, one.answer[i]]) for n, i in enumerate(hidden))
    found = objective.loss(logits, item)["loss"]
    assert found.item() == pytest.approx(by_hand / (share * 12), rel=1e-12)
    assert gradient_holds(lambda x: objective.loss(x, item)["loss"], logits)


@pytest.mark.slow
def test_a_model_that_knows_nothing_costs_log_vocabulary_in_expectation():
    objective, draws = sft.plan(), []
    for seed in range(4000):
        item = objective.corrupt(sample(seed=seed, answer=20), TOKENS, moment(seed))
        draws.append(objective.loss(torch.zeros(1, len(item.places), VOCAB), item)["loss"].item())
    error = np.std(draws) / len(draws) ** 0.5
    assert error < 0.05
    assert abs(np.mean(draws) - math.log(VOCAB)) < 4 * error


@pytest.mark.parametrize("block", [1, 2, 3, 4])
def test_every_pattern_comes_once_before_any_comes_again(block):
    objective = blockwise.plan(block=block)
    assert objective.patterns == 2**block - 1
    seen = [tuple(objective.pattern(item)) for item in range(3 * objective.patterns)]
    for turn in range(3):
        those = seen[turn * objective.patterns : (turn + 1) * objective.patterns]
        assert len(set(those)) == objective.patterns
        assert all(any(pattern) for pattern in those)
    assert block < 3 or seen[: objective.patterns] != seen[objective.patterns : -objective.patterns]


def test_blocks_come_from_the_last_to_the_first_and_all_later_ones_are_masked():
    objective, one = blockwise.plan(block=4), sample(prompt=3, answer=10)
    visited = []
    for step in range(30):
        item = objective.corrupt(one, TOKENS, moment(item=step, step=step, steps=30))
        answer = item.rows[0, 3:]
        assert len(answer) == 12
        block = (item.places[0] - 3) // 4
        visited.append(int(block))
        assert (item.places - 3 >= 4 * block).all()
        assert (item.places - 3 < 4 * block + 4).all()
        assert (answer[4 * block + 4 :] == MASK).all()
        whole = [*one.answer, END, END]
        assert list(answer[: 4 * block]) == whole[: 4 * block]
        inside = range(4 * block, 4 * block + 4)
        shown = [i for i in inside if i + 3 not in item.places]
        assert all(answer[i] == whole[i] for i in shown)
        assert list(item.targets) == [whole[i - 3] for i in item.places]
    assert visited == [2] * 10 + [1] * 10 + [0] * 10


def test_the_blocks_loss_is_the_mean_over_its_hidden_tokens():
    objective = blockwise.plan(block=4)
    item = objective.corrupt(sample(), TOKENS, moment(item=5))
    logits = logits_for(item)
    logp = logits[0].log_softmax(-1)
    by_hand = -np.mean([logp[n, token].item() for n, token in enumerate(item.targets)])
    assert objective.loss(logits, item)["loss"].item() == pytest.approx(by_hand, rel=1e-12)
    assert gradient_holds(lambda x: objective.loss(x, item)["loss"], logits)


def test_blocks_stay_within_the_context():
    item = blockwise.plan(block=8).corrupt(sample(prompt=43, answer=17), TOKENS, moment())
    assert item.rows.shape == (1, 59)


def test_blocks_too_long_to_visit_evenly_are_refused():
    with pytest.raises(ProbeError, match="--block has 17"):
        blockwise.plan(block=17)
