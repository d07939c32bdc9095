"""Schedules: amounts, blocks and orders by arithmetic, Dream's by its formula, and refusals."""

from dataclasses import replace

import pytest
import torch

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import rules
from mdlm_probe.decoding.rules import RULES, RuleSettings
from mdlm_probe.decoding.schedule import Schedule, amounts, check

ORDERS = list(RULES)


@pytest.mark.parametrize("whole", range(14))
@pytest.mark.parametrize("parts", range(1, 8))
def test_amounts_are_even_and_the_remainder_comes_first(whole, parts):
    found = amounts(whole, parts)
    assert (len(found), sum(found)) == (parts, whole)
    assert max(found) - min(found) <= 1
    assert found == sorted(found, reverse=True)


def test_blocks_and_their_steps():
    assert Schedule(5).blocks(12) == [range(12)]
    assert Schedule(5, block=4).blocks(12) == [range(4), range(4, 8), range(8, 12)]
    assert Schedule(5, block=8).blocks(12) == [range(8), range(8, 12)]
    assert Schedule(5).blocks(0) == []
    assert Schedule(7, block=4).block_steps(12) == [3, 2, 2]
    assert Schedule(5).block_steps(12) == [5]


def made(schedule, masks):
    """Amounts of the steps of one block, those that commit nothing among them."""
    left, found = masks, []
    while left:
        found.append(schedule.amount(len(found), schedule.steps, masks, left))
        left -= found[-1]
    return found


@pytest.mark.parametrize("steps", range(1, 13))
def test_llada_commits_equal_shares(steps):
    for order in ("low_confidence", "random", "left_to_right", "entropy", "margin"):
        assert made(Schedule(steps, order=order), 12) == amounts(12, steps)


@pytest.mark.parametrize("masks", [1, 5, 12, 64, 255])
@pytest.mark.parametrize("steps", [1, 2, 5, 12, 64])
def test_dream_commits_a_share_of_what_is_left(masks, steps):
    times, left, expected = torch.linspace(1, 1e-3, steps + 1), masks, []
    for step in range(steps):
        share = 1 - times[step + 1] / times[step]
        expected.append(left if step == steps - 1 else int(torch.tensor(float(left)) * share))
        left -= expected[-1]
    found = made(Schedule(steps, order="dream_entropy"), masks)
    assert found == expected[: len(found)]
    assert not any(expected[len(found) :])


@pytest.mark.parametrize(("steps", "step", "left"), [(27, 24, 112), (36, 34, 226), (54, 52, 76)])
def test_dreams_shares_are_rounded_as_there(steps, step, left):
    """In float32: exact products of these shares are one mask less."""
    times = torch.linspace(1, 1e-3, steps + 1)
    share = 1 - times[step + 1] / times[step]
    amount = Schedule(steps, order="dream_entropy").amount(step, steps, 256, left)
    assert amount == int(torch.tensor(float(left)) * share) == int(left * float(share)) + 1


def test_amounts_where_an_intervention_left_masks_behind():
    dream, even = Schedule(4, order="dream_entropy"), Schedule(4)
    assert dream.amount(3, 4, 12, 9) == 9
    assert dream.amount(7, 4, 12, 2) == 2
    # at the pace of the last step, until none is left
    assert [even.amount(step, 4, 12, 9) for step in (3, 4, 7)] == [3, 3, 3]
    assert even.amount(7, 4, 12, 2) == 2
    assert Schedule(5).amount(6, 5, 3, 2) == 1
    assert Schedule(4).amount(0, 4, 12, 2) == 2
    assert Schedule(4, at_once=5).amount(9, 4, 12, 7) == 5
    assert Schedule(4, at_once=5).amount(9, 4, 12, 3) == 3
    assert Schedule(4, order="threshold").amount(0, 4, 12, 7) == 7


def test_priorities_are_permutations_by_seed():
    assert Schedule(order="left_to_right", seed=4).priorities(6) == [0, 1, 2, 3, 4, 5]
    found = [tuple(Schedule(order="random", seed=n).priorities(6)) for n in range(50)]
    assert all(sorted(order) == [0, 1, 2, 3, 4, 5] for order in found)
    assert len(set(found)) > 40
    assert found[7] == tuple(Schedule(order="random", seed=7).priorities(6))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("steps", "block"), [(12, 0), (5, 0), (7, 4), (3, 4), (8, 6)])
def test_passes_are_steps_that_commit_something(order, steps, block):
    schedule = Schedule(steps, block, order)
    each = zip(schedule.blocks(12), schedule.block_steps(12), strict=True)
    expected = (
        12
        if RULES[order].free
        else steps  # a step of "dream_origin" commits something or not: as many at most
        if order == "dream_origin"
        else sum(
            sum(map(bool, made(replace(schedule, steps=share), len(part)))) for part, share in each
        )
    )
    assert schedule.made(12) == expected
    if order == "low_confidence":
        assert expected == steps
    assert replace(schedule, order="margin", at_once=5).made(12) == {0: 3, 4: 3, 6: 4}[block]


def test_schedules_that_fit():
    check(12, Schedule(12))
    check(12, Schedule(3, block=4))
    check(12, Schedule(1, block=4, order="threshold", threshold=1.0))
    check(12, Schedule(12, temperature=2.5, guidance=1.0))
    check(12, Schedule(12, cache="dual"))
    check(12, Schedule(40))
    check(12, Schedule(40, block=4, order="dream_entropy", rule_settings=RuleSettings(eps=0.01)))
    check(12, Schedule(order="entropy_bounded", block=4, rule_settings=RuleSettings(top_k=1)))
    check(1, Schedule())


@pytest.mark.parametrize(
    ("length", "schedule", "named"),
    [
        (0, Schedule(), "--length has 0"),
        (12, Schedule(0), "--steps has 0"),
        (12, Schedule(4, block=-2), "--block has -2"),
        (12, Schedule(4, block=5), "--block 5 does not divide --length 12"),
        (12, Schedule(12, block=24), "--block 24 does not divide --length 12"),
        (12, Schedule(2, block=4), "--steps 2 are fewer than the 3 blocks"),
        (12, Schedule(rule_settings=RuleSettings(top_p=0.0)), "--top-p has 0"),
        (12, Schedule(rule_settings=RuleSettings(top_p=1.5)), "--top-p has 1.5"),
        (12, Schedule(rule_settings=RuleSettings(top_k=-1)), "--top-k has -1"),
        (12, Schedule(rule_settings=RuleSettings(alg_temp=0.1)), "--alg-temp has no say"),
        (12, Schedule(rule_settings=RuleSettings(eps=0.1)), "--eps has no say"),
        (
            12,
            Schedule(order="dream_entropy", rule_settings=RuleSettings(eps=1.0)),
            "--eps has 1",
        ),
        (12, Schedule(rule_settings=RuleSettings(factor=2.0)), "--factor has no say"),
        (12, Schedule(order="factor", rule_settings=RuleSettings(factor=0.0)), "--factor has 0"),
        (12, Schedule(rule_settings=RuleSettings(entropy_bound=1.0)), "--entropy-bound has no say"),
        (12, Schedule(rule_settings=RuleSettings(edit_threshold=-0.1)), "--edit-threshold has -0"),
        (
            12,
            Schedule(order="random", rule_settings=RuleSettings(edit_threshold=0.5)),
            "--edit-threshold has no say",
        ),
        (12, Schedule(order="dream_origin", eos="eos_last"), "--eos eos_last has no say"),
        (12, Schedule(threshold=0.0), "--threshold has 0"),
        (12, Schedule(threshold=1.5), "--threshold has 1.5"),
        (12, Schedule(temperature=-1.0), "--temperature has -1"),
        (12, Schedule(temperature=float("inf")), "--temperature has inf"),
        (12, Schedule(temperature=float("nan")), "--temperature has nan"),
        (12, Schedule(guidance=-0.5), "--guidance has -0.5"),
        (12, Schedule(guidance=1.0, cache="prefix"), "--guidance and --cache"),
    ],
)
def test_schedules_that_no_canvas_has_are_refused(length, schedule, named):
    with pytest.raises(ProbeError) as error:
        check(length, schedule)
    assert named in str(error.value)
    assert "expected" in str(error.value)


def test_the_hint_names_divisors_nearby():
    with pytest.raises(ProbeError, match="such as 8, 16"):
        check(32, Schedule(32, block=12))


def test_more_steps_than_masks_commit_nothing_in_the_others():
    for order in ("low_confidence", "random", "low_confidence_dynamic"):
        schedule = Schedule(9, order=order)
        assert [schedule.amount(step, 9, 4, max(0, 4 - step)) for step in range(6)] == [1] * 4 + [
            0,
            0,
        ]
        assert schedule.made(4) == 4
    assert Schedule(9, order="dream_entropy").made(4) <= 9


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 4, 30])
def test_every_mask_of_origin_has_the_same_chance_in_a_step(steps):
    """Of 4,000 masks the share that the time says, within five standard errors; all in the last."""
    times, left = torch.linspace(1, 1e-3, steps + 1), list(range(4000))
    schedule = Schedule(steps, order="dream_origin", seed=steps)
    for step in range(steps):
        share = float(1 - times[step + 1] / times[step]) if step < steps - 1 else 1.0
        found = schedule.drawn(left, step, steps)
        error = (share * (1 - share) / len(left)) ** 0.5
        assert abs(len(found) / len(left) - share) <= 5 * error
        assert set(found) <= set(left)
        assert schedule.drawn(left, step, steps) == found


def test_an_order_and_its_settings_are_one_text():
    settings = RuleSettings(top_p=0.95, alg_temp=0.1, last_block="cut")
    text = rules.joined("dream_entropy", settings)
    assert text == "dream_entropy top_p=0.95 alg_temp=0.1 last_block=cut"
    assert rules.split(text) == ("dream_entropy", settings)
    for order in RULES:
        assert rules.joined(order, RuleSettings()) == order
        assert rules.split(order) == (order, RuleSettings())


def test_settings_of_several_orders_are_those_that_have_a_say():
    found = rules.settings_by_order(["factor", "random"], RuleSettings(factor=2.0, top_k=5))
    assert found == {
        "factor": RuleSettings(factor=2.0, top_k=5),
        "random": RuleSettings(top_k=5),
    }
    with pytest.raises(ProbeError, match="--alg-temp has no say in --order factor"):
        rules.settings_by_order(["factor", "random"], RuleSettings(alg_temp=0.5))


def test_ends_never_and_last_together():
    both = Schedule(eos="eos_inf+eos_last")
    assert (both.never((5, 6)), both.last((5, 6))) == ((5,), (5, 6))
    assert (Schedule().never((5, 6)), Schedule().last((5, 6))) == ((), ())
