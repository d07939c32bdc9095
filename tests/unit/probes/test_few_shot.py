"""Few-shot questions as queries: names of sets, scoring of decoded text."""

import numpy as np
import pytest

from mdlm_probe import models
from mdlm_probe.core.columns import names
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.queries import Answer
from mdlm_probe.probes._few_shot import questions
from mdlm_probe.probes.locality.probe import Cell
from mdlm_probe.prompts.few_shot_sets import ask
from mdlm_probe.prompts.suite import load

CELL = Cell("few-shot", "animal-smallest", "small", "word", 3, 2, 4, 0, 5, "right", 0, 1)


@pytest.fixture(scope="module")
def asker():
    entry = models.resolve("oracle")
    return DryRun(entry, models.load_border(entry))


def test_sets_by_name_task_or_all():
    suite = load()
    assert questions.chosen_sets(suite, ("all",)) == list(suite.sets)
    assert questions.chosen_sets(suite, ("verb", "animal-largest", "verb-smallest")) == [
        *("verb-smallest", "verb-largest", "animal-largest")
    ]
    with pytest.raises(ProbeError, match=r"unknown task 'anmal'[\s\S]*did you mean 'animal"):
        questions.chosen_sets(suite, ("anmal",))


def test_the_query_asks_at_the_mask_and_scores_the_options(asker):
    (example,) = questions.test_points([CELL])
    prompt = questions.prompt(CELL, (ask(questions.template_of(CELL), example, 0),))
    query = questions.query(asker, CELL, example, prompt)
    assert query.ids[query.positions[0]] == asker.entry.mask_id
    options = [asker.border.decode([i]) for i in query.readouts[0].args]
    assert options == list(example.options)
    assert '"item":5' in query.name


@pytest.mark.parametrize(("top", "correct"), [(0, True), (1, False)])
def test_correct_is_a_match_of_decoded_text(asker, top, correct):
    (example,) = questions.test_points([CELL])
    order = [example.right, (example.right + 1) % 3]
    prompt = questions.prompt(CELL, (ask(questions.template_of(CELL), example, 0),))
    query = questions.query(asker, CELL, example, prompt)
    values = {
        "chosen": np.log([[0.5, 0.3, 0.1]]),
        "entropy": np.array([0.9]),
        "top_id": np.array([asker.border.token(example.options[order[top]])]),
        "top_logprob": np.log([0.5]),
    }
    found = Answer({readout: values[readout.name] for readout in query.readouts})
    asked = questions.spread(asker, CELL, example, query)
    row = questions.answered(asker, CELL, example, asked, [found])
    assert set(row) == set(names(questions.COLUMNS))
    assert row["correct"] is correct
    assert row["right"] == example.options[example.right]
    assert np.exp(row["logp_right"]) == pytest.approx([0.5, 0.3, 0.1][example.right])
    assert row["logp_D"] is None
    assert row["top1_prob"] == pytest.approx(0.5)
