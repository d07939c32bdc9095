"""Costs of plans: counted by hand, summed, and of two models side by side."""

import pytest

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._checkpoint import LoadOptions
from mdlm_probe.runs import cost as estimate
from mdlm_probe.runs import survey
from mdlm_probe.runs.cost import Cost
from mdlm_probe.runs.plan import Job, prepare
from mdlm_probe.runs.plan_costs import PlanCost, PlanCosts, total


@pytest.mark.slow
def test_gradients_cost_a_pass_more():
    """Twice the tokens of the same prompts; see tests of what autograd keeps for the memory."""
    plan = prepare(Job("attribution", "tiny-mdlm", {"limit": 1, "orders": 1}))
    seen = survey.survey(plan, "cpu")
    assert seen.tokens == pytest.approx(2 * seen.queries * seen.length, rel=1e-6)
    by_hand = estimate.cost(
        *(plan.entry, LoadOptions(), "float32", seen.tokens, seen.asked, seen.length, 8192, True)
    )
    found = PlanCosts().of(plan)
    assert (found.operations, found.memory) == (by_hand.operations, by_hand.memory)
    assert (
        found.memory
        != estimate.cost(
            *(plan.entry, LoadOptions(), "float32", seen.tokens, seen.asked, seen.length, 8192)
        ).memory
    )


def test_a_cost_by_hand():
    """Model and scorer: operations and tokens add up, weights stay side by side."""
    options = {"limit": 2, "frac": (0.1,), "intervention": ("shift",), "length": 16, "block": 16}
    plan = prepare(Job("shift", "tiny-mdlm", options))
    seen = survey.survey(plan, "cpu")
    scored = survey.scored(plan, seen)
    assert (scored.queries, scored.asked) == (8, 8 * 16)
    assert scored.tokens == pytest.approx(8 * seen.length)
    costs = [
        estimate.cost(e, LoadOptions(), "float32", s.tokens, s.asked, s.length, 8192)
        for e, s in ((plan.entry, seen), (models.resolve("tiny-arlm"), scored))
    ]
    found = PlanCosts("h100").of(plan)
    assert found.cells == 8
    assert found.forwards == 8 * 16 + 8
    assert found.tokens == pytest.approx(seen.tokens + scored.tokens)
    assert found.operations == pytest.approx(sum(cost.operations for cost in costs))
    assert found.gpu_seconds == pytest.approx(found.operations / (989e12 * 0.5))
    assert found.seconds is None


def test_memory_of_two_models():
    both = Cost(1.0, 10.0, 3.0).with_scorer(Cost(2.0, 20.0, 5.0))
    assert (both.operations, both.memory) == (3.0, 35.0)
    assert Cost(1.0, 10.0, 3.0).with_scorer(Cost(None)) == Cost(None)


def test_totals_add_up_what_is_known():
    known = PlanCost(1, 2, 3.0, 4.0, 5.0, 6.0, 7.0)
    unknown = PlanCost(10, 20, 30.0, None, None, None, None)
    assert total([known, unknown, known]) == PlanCost(12, 24, 36.0, 8.0, 5.0, 12.0, 14.0)
    assert total([unknown, unknown]) == PlanCost(20, 40, 60.0, None, None, None, None)


def test_kept_keys_and_values_are_counted_whole_and_said_to_be():
    plan = prepare(Job("blocks", "tiny-mdlm", {"limit": 1, "length": (8,), "cache": "dual"}))
    assert "counted as whole ones" in survey.survey(plan, "cpu").notes[0]


def test_an_adapter_that_is_not_there_costs_an_error(tmp_path):
    load = LoadOptions(adapter=str(tmp_path / "nope"))
    plan = prepare(Job("locality", "tiny-mdlm", {"limit": 1}, load))
    with pytest.raises(ProbeError, match="no adapter in"):
        PlanCosts().of(plan)
