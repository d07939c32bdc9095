"""Mask-agnostic tuning against a literal loop, its limits, and what its rows look like."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from corrupted import END, MASK, TOKENS, gradient_holds, logits_for, moment, sample

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.tuning.objectives import mask_agnostic

OBJECTIVE = mask_agnostic.plan(alpha=0.3, beta=2.0, max_masks=20, curriculum_steps=0)


def literal(logits, pair, alpha, beta):
    """The formulas of the paper, one number at a time."""
    n, p = len(pair.targets), pair.share
    probs = [[[math.exp(x) for x in row] for row in branch] for branch in logits.tolist()]
    probs = [[[x / sum(row) for x in row] for row in branch] for branch in probs]
    ce = tv = 0.0
    for branch in probs:
        for row, target in zip(branch, pair.targets, strict=True):
            ce -= math.log(row[target]) / (2 * p * n)
    for first, second in zip(*probs, strict=True):
        tv += sum(abs(a - b) for a, b in zip(first, second, strict=True)) * p / n
    return alpha * ce + beta * tv, ce, tv


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_the_papers_formula(seed):
    pair = OBJECTIVE.corrupt(sample(seed=seed), TOKENS, moment(seed))
    logits = logits_for(pair, seed)
    found = OBJECTIVE.loss(logits, pair)
    expected = literal(logits, pair, 0.3, 2.0)
    assert [value.item() for value in found.values()] == pytest.approx(expected, rel=1e-12)
    assert list(found) == ["loss", "ce", "l1"]


def test_gradients_flow_through_both_rows():
    pair = OBJECTIVE.corrupt(sample(), TOKENS, moment())
    logits = logits_for(pair)
    assert gradient_holds(lambda x: OBJECTIVE.loss(x, pair)["loss"], logits)
    logits.requires_grad_()
    OBJECTIVE.loss(logits, pair)["l1"].backward()
    assert (logits.grad.abs().sum(-1) > 0).all()


def test_beta_0_is_the_cross_entropy_and_equal_rows_have_no_distance():
    pair = OBJECTIVE.corrupt(sample(), TOKENS, moment())
    logits = logits_for(pair)
    found = dataclasses.replace(OBJECTIVE, alpha=1.0, beta=0.0).loss(logits, pair)
    assert found["loss"] == found["ce"]
    same = logits[:1].repeat(2, 1, 1)
    assert OBJECTIVE.loss(same, pair)["l1"] == 0
    assert torch.allclose(
        OBJECTIVE.loss(same, pair)["loss"], 0.3 * OBJECTIVE.loss(same, pair)["ce"]
    )


def test_both_rows_hold_the_same_corrupted_answer_and_other_numbers_of_masks():
    seen = set()
    for seed in range(200):
        one = sample(seed=seed)
        pair = OBJECTIVE.corrupt(one, TOKENS, moment(seed))
        length = len(one.prompt) + len(one.answer)
        assert (pair.rows[0, :length] == pair.rows[1, :length]).all()
        assert tuple(pair.rows[0, : len(one.prompt)]) == one.prompt
        hidden = np.flatnonzero(pair.rows[0, :length] == MASK)
        assert (hidden == pair.places).all()
        assert len(hidden)
        assert tuple(pair.targets) == tuple(one.answer[i - len(one.prompt)] for i in hidden)
        counts = [int((row[length:] == MASK).sum()) for row in pair.rows]
        for row, count in zip(pair.rows, counts, strict=True):
            assert (row[length : length + count] == MASK).all()
            assert (row[length + count :] == END).all()
        assert counts[0] != counts[1]
        assert max(counts) == pair.rows.shape[1] - length <= 20
        assert 0.2 <= pair.share <= 0.8
        seen |= set(counts)
    assert seen == set(range(21))


def test_masks_end_where_the_context_does():
    tokens = dataclasses.replace(TOKENS, context=14)
    rows = [OBJECTIVE.corrupt(sample(), tokens, moment(s)).rows for s in range(50)]
    assert max(row.shape[1] for row in rows) == 14
    full = dataclasses.replace(TOKENS, context=12)
    assert OBJECTIVE.corrupt(sample(), full, moment()).rows.shape == (2, 12)


def test_the_curriculum_counts_optimiser_steps():
    grown = mask_agnostic.plan(max_masks=600, curriculum_steps=100)
    assert [grown.most(step) for step in (0, 49, 99, 5000)] == [6, 300, 600, 600]
    assert mask_agnostic.plan(max_masks=600, curriculum_steps=0).most(0) == 600
    assert mask_agnostic.plan(max_masks=5, curriculum_steps=100).most(0) == 1


@pytest.mark.parametrize("given", [{"alpha": -1.0}, {"max_masks": 0}, {"beta": math.nan}])
def test_wrong_numbers_are_refused_by_name(given):
    with pytest.raises(ProbeError, match=f"--{next(iter(given)).replace('_', '-')}"):
        mask_agnostic.plan(**given)
