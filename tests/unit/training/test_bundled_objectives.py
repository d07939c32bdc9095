"""Both objectives against closed forms and brute force; the trainer against arithmetic."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.tuning.corruption import SMALLEST
from training import _bundled_causal as causal
from training import _bundled_masked as masked
from training._bundled_trainer import TrainingPlan, groups, train


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# ---------------------------------------------------------------------- masked


def test_shares_are_uniform_and_stratified():
    rows = torch.stack([masked.shares(8, generator(s)) for s in range(500)])
    assert rows.min() > SMALLEST
    assert rows.max() <= 1
    strata = ((rows - SMALLEST) / (1 - SMALLEST) * 8 - 1e-5).long()
    assert all(sorted(row.tolist()) == list(range(8)) for row in strata)
    assert abs(rows[:, 0].mean() - 0.5) < 0.05  # each row alone is uniform, not its own stratum
    assert rows[:, 0].std() > 0.25


def test_shares_stay_within_their_bounds_and_fill_them():
    found = masked.shares(1000, generator(), low=0.4, high=0.6)
    assert 0.4 <= found.min() < 0.401
    assert 0.599 < found.max() <= 0.6


def test_hide_takes_maskable_tokens_only_and_as_many_as_asked():
    maskable = torch.rand(4, 5000, generator=generator()) < 0.5
    share = torch.tensor([0.001, 0.2, 0.7, 1.0])
    hidden = masked.hide(share, maskable, generator(1))
    assert not (hidden & ~maskable).any()
    assert torch.equal(hidden[3], maskable[3])
    rates = hidden.sum(1) / maskable.sum(1)
    assert torch.allclose(rates, share, atol=0.04)


def test_cover_by_hand():
    ids, hidden = torch.tensor([[5, 6, 7]]), torch.tensor([[False, True, False]])
    assert masked.cover(ids, hidden, 1).tolist() == [[5, 1, 7]]
    assert ids.tolist() == [[5, 6, 7]]


def test_weights_by_hand():
    hidden = torch.tensor([[True, False, True], [False, True, False]])
    maskable = torch.tensor([[True, True, True], [False, True, False]])
    found = masked.weights(hidden, torch.tensor([0.5, 0.25]), maskable)
    assert torch.allclose(found, torch.tensor([[1 / 3, 0, 1 / 3], [0, 2.0, 0]]))
    even = masked.even_weights(hidden)
    assert torch.allclose(even, hidden / 3)
    assert masked.even_weights(torch.zeros(2, 3, dtype=torch.bool)).sum() == 0


@pytest.mark.slow
def test_uniform_model_costs_log_vocabulary_in_expectation():
    vocab, ids = 11, torch.randint(0, 11, (4, 16), generator=generator())
    maskable = torch.ones(4, 16, dtype=torch.bool)
    maskable[0, :9] = False
    draws = []
    for i in range(3000):
        g = generator(i)
        share = masked.shares(4, g, low=0.05)
        hidden = masked.hide(share, maskable, g)
        weight = masked.weights(hidden, share, maskable)
        logits = torch.zeros(int(hidden.sum()), vocab)
        draws.append(masked.loss(logits, ids[hidden], weight[hidden]).item())
    draws = torch.tensor(draws)
    error = draws.std() / len(draws) ** 0.5
    assert error < 0.02
    assert abs(draws.mean() - math.log(vocab)) < 4 * error


def test_masked_loss_is_the_weighted_sum():
    logits = torch.randn(6, 5, generator=generator())
    targets, weight = torch.tensor([0, 1, 2, 3, 4, 0]), torch.arange(6) / 10
    by_hand = sum(
        -w * math.log(row.softmax(-1)[t]) for row, t, w in zip(logits, targets, weight, strict=True)
    )
    assert masked.loss(logits, targets, weight).item() == pytest.approx(float(by_hand), rel=1e-5)


def test_nothing_hidden_costs_nothing():
    found = masked.loss(torch.zeros(0, 5), torch.zeros(0, dtype=torch.long), torch.zeros(0))
    assert found == 0


# ---------------------------------------------------------------------- causal


def test_causal_loss_is_the_shifted_cross_entropy():
    logits = torch.randn(2, 7, 5, generator=generator())
    ids = torch.randint(0, 5, (2, 7), generator=generator())
    plain = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    assert torch.allclose(causal.loss(logits, ids), plain)
    none = torch.zeros_like(ids, dtype=torch.bool)
    assert torch.allclose(causal.loss(logits, ids, none, 3.0), plain)


def test_special_tokens_count_again():
    logits = torch.randn(1, 4, 5, generator=generator())
    ids = torch.tensor([[1, 2, 3, 4]])
    special = torch.tensor([[False, False, True, False]])
    one = -logits.log_softmax(-1)[0, 1, 3]  # row 1 scores token 2
    found = causal.loss(logits, ids, special, 2.0)
    assert torch.allclose(found, causal.loss(logits, ids) + 2 * one)


def test_the_last_row_and_the_first_token_do_not_matter():
    logits = torch.randn(1, 4, 5, generator=generator())
    ids, other = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[0, 2, 3, 4]])
    changed = logits.clone()
    changed[:, -1] = 9
    assert torch.equal(causal.loss(logits, ids), causal.loss(changed, other))
    changed[:, 0, 2] += 1
    assert not torch.equal(causal.loss(logits, ids), causal.loss(changed, other))


# ---------------------------------------------------------------------- trainer


def test_the_schedule():
    plan = TrainingPlan(steps=100, warmup=10, hold=0.6, floor=0.1)
    assert plan.scale(0) == pytest.approx(0.1)
    assert plan.scale(9) == plan.scale(30) == plan.scale(60) == 1.0
    assert plan.scale(80) == pytest.approx(0.55)
    assert plan.scale(99) == pytest.approx(0.1 + 0.9 / 40)
    rates = [plan.scale(s) for s in range(60, 100)]
    assert rates == sorted(rates, reverse=True)


def line():
    torch.manual_seed(0)
    return nn.Linear(3, 1)


def regression(model):
    def loss(step):
        x = torch.randn(16, 3, generator=generator(step))
        return ((model(x) - x.sum(1, keepdim=True)) ** 2).mean()

    return loss


def test_training_solves_a_regression_and_logs_means():
    model, seen = line(), []
    plan = TrainingPlan(steps=200, rate=0.05, warmup=5, every=50)
    train(model, regression(model), plan, lambda *a: seen.append(a))
    assert [step for step, _, _ in seen] == [50, 100, 150, 200]
    assert seen[-1][1] < 0.01 * seen[0][1]
    assert torch.allclose(model.weight, torch.ones(1, 3), atol=0.05)


def test_training_twice_gives_the_same_bits():
    one, two = line(), line()
    for model in (one, two):
        train(model, regression(model), TrainingPlan(steps=20, warmup=5))
    assert torch.equal(one.weight, two.weight)


def test_frozen_parameters_stay():
    model = line()
    model.bias.requires_grad_(False)
    before = model.bias.clone()
    train(model, regression(model), TrainingPlan(steps=5, warmup=1))
    assert torch.equal(model.bias, before)
    assert [len(g["params"]) for g in groups(model.parameters(), 0.1)] == [1, 0]


def test_a_loss_that_is_not_finite_stops():
    model = line()
    with pytest.raises(ProbeError, match="loss of step 0 is nan"):
        train(model, lambda step: model.weight.sum() * torch.nan, TrainingPlan(steps=3))
