"""The alignment-flexible loss against an enumeration of all placements; jitter beside it."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from corrupted import MASK, SLACK, TOKENS, VOCAB, gradient_holds, logits_for, moment, sample

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.likelihood.placements import placements_nll
from mdlm_probe.tuning.objectives import ctc, jitter
from mdlm_probe.tuning.placement import Placement, place


def enumerated(logp, tokens, slack=SLACK):
    """Minus the log of the summed probabilities of every placement in order."""
    slots, total = len(logp), 0.0
    for chosen in itertools.combinations(range(slots), len(tokens)):
        written = [slack] * slots
        for place_, token in zip(chosen, tokens, strict=True):
            written[place_] = token
        total += math.exp(sum(logp[t][token] for t, token in enumerate(written)))
    return -math.log(total)


def runs(slots, sizes, tokens, weight=1.0):
    """Runs of masks that stand one after another, for the loss alone."""
    count = sum(slots)
    rows, places = np.zeros((1, count), np.int64), np.arange(count)
    return ctc.Runs(
        *(rows, places, np.zeros(count, np.int64), weight),
        *(np.array(slots, np.int64), np.array(sizes, np.int64), np.array(tokens, np.int64), SLACK),
    )


def draw(slots, seed=0):
    return torch.randn(
        slots, VOCAB, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


@pytest.mark.parametrize(
    ("slots", "sizes", "tokens"),
    [
        ([5], [3], [4, 4, 6]),  # the same token twice is not merged
        ([1], [1], [5]),
        ([4], [0], []),
        ([6, 2, 5, 1], [2, 2, 0, 1], [3, 5, 7, 7, 8]),
    ],
)
def test_every_placement_is_summed(slots, sizes, tokens):
    item, logits = runs(slots, sizes, tokens), draw(sum(slots))
    found = ctc.runs_nll(logits, item)
    logp = logits.log_softmax(-1).tolist()
    at, of, expected = 0, 0, []
    for length, size in zip(slots, sizes, strict=True):
        expected.append(enumerated(logp[at : at + length], tokens[of : of + size]))
        at, of = at + length, of + size
    assert found.tolist() == pytest.approx(expected, rel=1e-12)
    assert gradient_holds(lambda x: ctc.runs_nll(x, item).sum(), logits)


def test_it_is_not_the_loss_that_merges_repeats():
    logits, tokens = draw(5), [4, 4, 6]
    found = ctc.runs_nll(logits, runs([5], [3], tokens))
    merging = F.ctc_loss(
        *(logits.log_softmax(-1)[:, None], torch.tensor([tokens])),
        *(torch.tensor([5]), torch.tensor([3])),
        blank=SLACK,
        reduction="none",
    )
    assert abs(found.item() - merging.item()) > 0.1


def test_without_slots_to_spare_it_is_the_cross_entropy():
    objective = ctc.plan(smax=0.0)
    for seed in range(5):
        item = objective.corrupt(sample(seed=seed), TOKENS, moment(seed))
        found = objective.loss(logits_for(item), item)
        assert found["ctc"].item() == pytest.approx(found["ce"].item(), rel=1e-12)


def test_the_mixture_and_its_gradient():
    objective = ctc.plan(smax=1.0, ctc_weight=0.7)
    item = objective.corrupt(sample(), TOKENS, moment(3))
    logits = logits_for(item)
    found = {name: value.item() for name, value in objective.loss(logits, item).items()}
    assert found["loss"] == pytest.approx(0.7 * found["ctc"] + 0.3 * found["ce"], rel=1e-12)
    assert found["ctc"] < found["ce"], "one placement is one of all"
    assert gradient_holds(lambda x: objective.loss(x, item)["loss"], logits)


def test_float32_has_a_finite_gradient_where_most_is_impossible():
    item = runs([3, 300], [3, 2], [4, 5, 6, 7, 8])
    logits = draw(303).float().requires_grad_()
    ctc.runs_nll(logits, item).sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_a_run_that_is_too_short_is_named_and_never_zero():
    with pytest.raises(ProbeError, match="2 slots for 3 tokens"):
        ctc.runs_nll(draw(3), runs([1, 2], [1, 3], [4, 5, 6, 7]))
    found = placements_nll(
        torch.zeros(1, 2), torch.zeros(1, 2, 3), torch.tensor([2]), torch.tensor([3])
    )
    assert found.item() == math.inf


def test_a_sample_that_hides_nothing_costs_nothing():
    item, objective = runs([], [], []), ctc.plan()
    found = objective.loss(torch.zeros(1, 0, VOCAB, requires_grad=True), item)
    assert found["loss"] == 0
    found["loss"].backward()


def test_runs_are_maximal():
    filled = np.array([1, 0, 1, 1, 0, 1], bool)
    hidden = np.array([1, 1, 0, 0, 1, 1], bool)
    slots, sizes = ctc.runs_of(Placement(np.arange(6), filled, hidden, 0.5))
    assert slots.tolist() == [2, 2]
    assert sizes.tolist() == [1, 1]


def test_canvases_hold_the_answer_in_order_among_slack():
    lengths = set()
    for seed in range(200):
        one = sample(answer=10, seed=seed)
        placed = place(one, TOKENS, moment(seed), 0.5)
        assert tuple(placed.canvas[placed.filled]) == one.answer
        assert (placed.canvas[~placed.filled] == SLACK).all()
        lengths.add(len(placed.canvas))
    assert lengths == set(range(11, 16)), "ceil(10 (1 + s)), s from 0 to .5"


def test_a_canvas_ends_where_the_context_does():
    one = sample(prompt=52, answer=7)
    assert all(len(place(one, TOKENS, moment(s), 1.0).canvas) <= 8 for s in range(20))


def test_jitter_takes_the_same_placement_as_the_flexible_loss():
    for seed in range(20):
        one = sample(seed=seed)
        fixed = jitter.plan().corrupt(one, TOKENS, moment(seed))
        free = ctc.plan().corrupt(one, TOKENS, moment(seed))
        assert (fixed.rows == free.rows).all()
        assert (fixed.targets == free.targets).all()
        logits = logits_for(free)
        assert jitter.plan().loss(logits, fixed)["loss"] == ctc.plan().loss(logits, free)["ce"]
        assert (fixed.rows[0, fixed.places] == MASK).all()


def test_jitters_loss_is_a_literal_loop():
    one = sample()
    item = jitter.plan(smax=1.0).corrupt(one, TOKENS, moment(2))
    logits = logits_for(item)
    logp = logits[0].log_softmax(-1)
    by_hand = -sum(logp[i, token] for i, token in enumerate(item.targets))
    found = jitter.plan().loss(logits, item)["loss"]
    assert found.item() == pytest.approx(by_hand.item() * item.weight, rel=1e-12)
    assert gradient_holds(lambda x: jitter.plan().loss(x, item)["loss"], logits)
