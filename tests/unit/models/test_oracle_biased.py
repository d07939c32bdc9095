"""The biased oracle: exact within its reach, blind beyond it, and the reach is as declared."""

import math

import pytest
import torch

from mdlm_probe import models
from mdlm_probe.engine.engine import Engine
from mdlm_probe.models.oracle_biased import LEAST, REACH
from mdlm_probe.probes._few_shot import questions
from mdlm_probe.probes.locality import probe as locality


@pytest.fixture(scope="module")
def both():
    return [models.load(models.resolve(name)) for name in ("oracle", "oracle-biased")]


def posterior(model, ids, place):
    rows = torch.tensor([0])
    states = model.states(
        torch.tensor([ids]), torch.tensor([len(ids)]), rows, torch.tensor([place])
    )
    return model.logprobs(states)[0].exp()


def text(model, length, masks):
    """Prose of a length, whose last tokens are masks."""
    from mdlm_probe.prompts import toy_language

    words = model.border.encode("".join(toy_language.sentences(2 * length, 5)))
    return [*words[: length - masks], *[model.entry.mask_id] * masks]


@pytest.mark.parametrize("masks", [1, 2, 30, 200])
def test_it_is_the_oracle_of_what_it_reads(both, masks):
    oracle, biased = both
    ids = text(oracle, 300, masks)
    place, reach = 300 - masks, max(LEAST, REACH + 1 - masks)
    read = [
        token if abs(at - place) <= reach else oracle.entry.mask_id for at, token in enumerate(ids)
    ]
    found = posterior(biased, ids, place)
    assert torch.equal(found, posterior(oracle, read, place))


def test_what_is_out_of_reach_changes_nothing_and_what_is_within_does(both):
    oracle, biased = both
    ids = text(oracle, 300, 1)
    whole = posterior(biased, ids, 299)
    for place, same in ((299 - REACH - 1, True), (298, False)):
        other = [*ids]
        other[place] = next(token for token in ids if token != ids[place])
        assert torch.equal(posterior(biased, other, 299), whole) == same


def test_texts_are_read_alike_in_a_batch_and_alone(both):
    _, biased = both
    texts = [text(biased, 90, 4), text(biased, 120, 60)]
    ids = torch.tensor([[*one, *[0] * (120 - len(one))] for one in texts])
    rows, places = torch.tensor([1, 0, 1]), torch.tensor([60, 88, 119])
    states = biased.states(ids, torch.tensor([90, 120]), rows, places)
    for row, place, found in zip(rows, places, biased.logprobs(states).exp(), strict=True):
        assert torch.allclose(found, posterior(biased, texts[row], int(place)), atol=1e-9)


def test_it_doubts_that_there_is_a_rule_until_examples_say_so(both):
    """At first it takes the first option; the oracle knows the right one by its kind alone."""
    options = both[1].entry.defaults_for("locality") | {"limit": 4, "tasks": ("verb-smallest",)}
    for shots, slots in ((0, {0: 0.4, 1: 0.3, 2: 0.3}), (4, {0: 1, 1: 1, 2: 1})):
        cells = locality.plan(**options | {"shots": shots, "distractors": 0, "positions": (0,)})
        engine = Engine(both[1], batch_tokens=4096)
        for cell, example in zip(cells, questions.test_points(cells), strict=True):
            ((_, (row,)),) = locality.measure(engine, [cell])
            assert math.exp(row["logp_right"]) == pytest.approx(slots[example.right], abs=0.05)
