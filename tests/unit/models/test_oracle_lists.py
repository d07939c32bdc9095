"""The oracle of list tasks: its marginals, and that what it gets right is the closed form."""

import numpy as np
import planted
import pytest
import torch
from scipy.stats import binomtest

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.engine import Engine
from mdlm_probe.models.oracle_lists import TIES
from mdlm_probe.probes.parallel import probe as parallel
from mdlm_probe.probes.parallel import report
from mdlm_probe.prompts import list_prompts
from mdlm_probe.prompts.list_tasks import FAMILIES, RANDOM


@pytest.fixture(scope="module")
def model():
    return models.load(models.resolve("oracle-lists"))


def posterior(model, ids, places):
    rows = torch.zeros(len(places), dtype=torch.long)
    asked = torch.tensor([ids]), torch.tensor([len(ids)]), rows, torch.tensor(places)
    return model.logprobs(model.states(*asked)).exp().numpy()


@pytest.mark.parametrize("family", FAMILIES)
def test_it_has_the_marginals_of_the_task(model, family):
    source = list_prompts.load("lists", "small")
    task, shot = (source.task(family, 4, 1, 0, lambda word: True, n) for n in (0, 1))
    ids = list(model.border.encode(source.prompt(task, [shot], 0, True)))
    first = len(ids) - task.slots
    answer = list_prompts.right_answer(task, 5)
    tokens = [model.border.token(f" {word}") for word in task.all_words]
    for known in ({}, {1: answer[1]}, {2: answer[2], 0: answer[0]}):
        text = [*ids]
        for slot, word in known.items():
            text[first + slot] = tokens[word]
        empty = [slot for slot in range(task.slots) if slot not in known]
        found = posterior(model, text, [first + slot for slot in empty])
        want = task.marginals(known)[empty]
        np.testing.assert_allclose(found[:, tokens], want, atol=2 * TIES)
        assert found.sum(1) == pytest.approx(1, abs=1e-6)
    text = [*ids]
    text[first] = tokens[-1] if family == "copy" else model.border.token(" the")
    (row,) = posterior(model, text, [first + 1])
    np.testing.assert_allclose(row[tokens], 1 / len(tokens), atol=2 * TIES)


def test_it_reads_list_tasks_only(model):
    ids = [*model.border.encode(" the wind found the"), model.entry.mask_id]
    with pytest.raises(ProbeError, match="'oracle-lists' reads list tasks only"):
        posterior(model, ids, [len(ids) - 1])
    blank = posterior(model, [model.entry.mask_id] * 4, [1])[0]
    assert np.ptp(np.delete(blank, model.entry.mask_id)) < 1e-9
    assert blank[model.entry.mask_id] == 0


SHARES = {"lexicon": "small", "words": (4,), "per_step": (2, 4), "families": RANDOM, "shots": 1}


@pytest.fixture(scope="module", params=[1.0, 0.0], ids=["drawn", "greedy"])
def measured(request, model):
    cells = parallel.plan(**SHARES, limit=120, temperature=request.param)
    return planted.measured(parallel, Engine(model, batch_tokens=4096), cells)


@pytest.mark.slow
def test_what_it_gets_right_is_the_closed_form(measured):
    """Within what chance allows of 120 items; at temperature 0 equal words are chosen evenly."""
    table = report.tables(measured)["accuracy"]
    assert len(table) == len(RANDOM) * 2
    for row in table.to_dict("records"):
        best, hits = row["optimum"], round(row["correct"] * row["n"])
        known = measured.query(
            "family == @row['family'] and asked_per_step == @row['asked_per_step']"
        )
        if best in (0.0, 1.0):
            assert row["correct"] == best
        elif known["optimum"].nunique() == 1:
            assert binomtest(hits, row["n"], best).pvalue > 1e-3, row
        else:  # sums of unequal chances vary less than a binomial's
            spread = np.sqrt((known["optimum"] * (1 - known["optimum"])).sum())
            assert abs(hits - known["optimum"].sum()) < 3.3 * spread, row
    assert (table["optimum"] < 0.9).sum() >= 5


def test_its_wrong_answers_repeat_words_or_miss_each_other_and_its_right_ones_vary(measured):
    faults = report.tables(measured)["faults"]
    assert (faults["foreign_share"] == 0).all()
    assert (faults.loc[faults["family"] == "shuffle", "repeated_share"] > 0.4).all()
    assert not report.notes(measured) or (measured["temperature"] == 0).all()


def test_options_for_weights_mean_nothing():
    entry = models.resolve("oracle-lists")
    with pytest.raises(ProbeError, match="has no weights"):
        models.load(entry, models.LoadOptions(dtype="float32"))
