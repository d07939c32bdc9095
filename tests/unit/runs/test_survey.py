"""What a plan asks, counted without weights."""

import pytest

from mdlm_probe import models
from mdlm_probe.engine.engine import Engine
from mdlm_probe.runs import fitting, survey
from mdlm_probe.runs.plan import Job, prepare


@pytest.mark.slow
def test_survey_without_weights_or_tokenizer(tmp_path):
    plan = prepare(Job("locality", "llada-8b"))
    found = survey.survey(plan, "cpu")
    assert len(plan.cells) == found.queries == found.asked == 16 * 9 * 1000
    assert 0.8e8 < found.tokens < 2e8  # the protocol speaks of about 130M
    assert "rough guess" in found.notes[0]
    exact = survey.survey(prepare(Job("locality", "oracle")), "cpu")
    assert exact.length == 509
    assert not exact.notes


def test_the_sample_is_even_over_every_coordinate():
    plan = prepare(Job("locality", "tiny-mdlm", {"masks": (2, 50, 100, 200)}))
    found = survey.survey(plan, "cpu")
    assert found.length == pytest.approx(508 + 88, abs=30)  # masks are 88 in the mean
    assert {cell.question_masks for cell in fitting.extremes(plan)} >= {200}


def test_cells_that_share_a_pass_are_counted_as_the_engine_asks_them():
    """Of a causal model, whose answers nothing appended can reach: one pass per test point."""
    options = {"limit": 1, "filler": ("text", "eos"), "tasks": ("verb-smallest", "animal-smallest")}
    plan = prepare(Job("masks", "tiny-arlm", options))
    found = survey.survey(plan, "cpu")
    assert (len(plan.cells), found.queries) == (2 * 9, 2)
    engine = Engine(models.load(plan.entry), batch_tokens=4096)
    passed = []
    engine.watch = passed.append
    list(plan.probe.measure(engine, plan.cells))
    assert engine.tokens == pytest.approx(found.tokens, rel=0.02)
    assert engine.tokens < 2 * 600


def test_prompts_are_told_apart_without_a_tokenizer():
    """Cells of a causal model share a pass where only what follows the answer differs."""
    options = {"limit": 4, "tasks": ("verb-smallest",)}
    asked = survey.survey(prepare(Job("locality", "llama3-8b", options)), "cpu")
    assert asked.queries == 9 * 4
    shared = survey.survey(prepare(Job("masks", "llama3-8b", options)), "cpu")
    assert shared.queries == 4
    options = {"limit": 1, "masks": 8}
    counted = survey.survey(prepare(Job("decay", "llada-8b", options)), "cpu")  # ids are indices
    assert counted.queries > 0
