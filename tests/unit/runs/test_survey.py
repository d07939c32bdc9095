"""What a plan asks, counted without weights."""

import pytest

from mdlm_probe.runs import survey
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
    assert {cell.masks for cell in survey.extremes(plan)} >= {200}
