"""The block-causal oracle against enumeration of every filling of what it may see."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from oracles import MASK, TOKENS, Letters, chain

from mdlm_probe import models
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.models import oracle
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.models.oracle_block import BlockOracle
from mdlm_probe.prompts import texts

TEXTS = [[0, MASK, 2, MASK, 1, 3, MASK, MASK, 1], [MASK, 1, MASK, 3, MASK], [1, MASK]]


def made(seed, block, shift=0):
    entry = Checkpoint("o", "oracle_block", "masked", mask_id=MASK, context=64, block=block)
    entry = replace(entry, shift=shift)
    letters = Letters(entry)
    return BlockOracle(entry, letters, chain(seed), range(TOKENS), TOKENS + 1, smoothing=0.0)


def posterior(seed, seen, place):
    """p(token at a place | what is seen), summing the chain over all fillings."""
    hmm = chain(seed)
    transition, found = hmm.transition.toarray(), np.zeros(TOKENS)
    free = [i for i, token in enumerate(seen) if token == MASK]
    for filling in itertools.product(range(TOKENS), repeat=len(free)):
        full = list(seen)
        for i, token in zip(free, filling, strict=True):
            full[i] = token
        state = hmm.initial
        for token in full:
            state = (state * hmm.emission[:, token]) @ transition
        found[full[place]] += state.sum()
    return found / found.sum()


def ask(model, texts, origins):
    ids = torch.zeros(len(texts), max(map(len, texts)), dtype=torch.long)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text)
    places = [
        (row, at)
        for row, text in enumerate(texts)
        for at, token in enumerate(text)
        if token == MASK and at >= model.entry.shift
    ]
    lengths = torch.tensor([len(text) for text in texts])
    states = model.states(ids, lengths, *torch.tensor(places).unbind(1), origins)
    return places, model.logprobs(states).exp().numpy()


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("block", [1, 2, 3, 4])
def test_it_is_the_posterior_given_no_later_block(block, shift):
    origins = torch.tensor([0, block - 1, min(1, block - 1)])
    places, found = ask(made(2, block, shift), TEXTS, origins)
    for (row, place), own in zip(places, found, strict=True):
        first = int(origins[row])
        number = [(at - first) // block for at in range(len(TEXTS[row]))]
        seen = [t for at, t in enumerate(TEXTS[row]) if number[at] <= number[place]]
        if shift and number[place] != number[place - 1]:
            seen = [*seen[:place], MASK]
        assert own[:TOKENS] == pytest.approx(posterior(2, seen, place), abs=1e-6)
        assert own[MASK] == 0


def test_a_block_of_a_whole_text_is_the_oracle():
    entry = Checkpoint("o", "oracle", "masked", mask_id=MASK, context=64)
    whole = oracle.Oracle(entry, Letters(entry), chain(2), range(TOKENS), TOKENS + 1, smoothing=0.0)
    _, expected = ask(whole, TEXTS, None)
    assert ask(made(2, 9), TEXTS, None)[1] == pytest.approx(expected, abs=1e-9)
    assert not np.allclose(ask(made(2, 4), TEXTS, None)[1], expected, atol=1e-3)


@pytest.mark.parametrize("name", ["oracle", "oracle-block"])
def test_the_registered_one_reads_its_blocks(name):
    model = models.load(models.resolve(name))
    assert models.resolve("oracle-block").attention == "block-causal"
    ids, mask = model.border.encode(texts.load("open", "small")[0].prompt)[:16], model.entry.mask
    engine = Engine(model, batch_tokens=64)

    def moved(asked, hidden):
        """Whether a place's distribution is another one where a token elsewhere is hidden."""
        seen = (*ids[:asked], mask, *ids[asked + 1 :])
        less = (*seen[:hidden], mask, *seen[hidden + 1 :])
        queries = [Query(text, (asked,), (Readout("whole"),)) for text in (seen, less)]
        one, other = (np.delete(answer["whole"][0], mask) for answer in engine.ask(queries))
        return abs(one - other).max() > 1e-3

    assert model.entry.block in (0, 4)
    assert moved(6, 5)
    assert moved(8, 7)
    assert moved(6, 8) == (name == "oracle")
