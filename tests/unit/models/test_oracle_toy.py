"""The toy's oracle: the joint that it is asked for, and the marginals that the paper has."""

import math

import numpy as np
import pytest

from mdlm_probe import models
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.models import oracle
from mdlm_probe.prompts import two_tokens


@pytest.fixture(scope="module")
def engine():
    return Engine(models.load(models.resolve("oracle-toy")))


def test_its_marginals_are_the_papers_and_its_second_token_follows_the_first(engine):
    border, mask = engine.border, engine.entry.mask
    context, firsts, seconds = (
        [border.token(token) for token in tokens]
        for tokens in (two_tokens.CONTEXT, two_tokens.FIRSTS, two_tokens.SECONDS)
    )
    both = Readout("chosen", (*firsts, *seconds))
    queries = [Query((*context, mask, mask), (2, 3), (both,))]
    queries += [Query((*context, first, mask), (3,), (both,)) for first in firsts]
    together, *after = (np.exp(found["chosen"]) for found in engine.ask(queries))
    assert together[0, :2] == pytest.approx([0.55, 0.45], abs=1e-4)
    assert together[1, 2:] == pytest.approx([0.69, 0.31], abs=1e-4)
    assert after[0][0, 2:] == pytest.approx([1, 0], abs=1e-4)
    assert after[1][0, 2:] == pytest.approx([0.14 / 0.45, 0.31 / 0.45], abs=1e-4)


@pytest.mark.parametrize("a", [0.24, 0.3795, 0.5])
def test_a_language_has_the_joint_it_is_asked_for(engine, a):
    """Of the chain's likelihoods: that of a pair after its context, and after another pair."""
    border = engine.border
    chain = two_tokens.language(a)
    ids = [border.token(token) for token in chain.tokens]
    model = oracle.Oracle(engine.entry, border, chain, ids, border.tokenizer.get_vocab_size())
    context = [border.token(token) for token in two_tokens.CONTEXT]
    for before in (context, [*context, ids[2], ids[4], *context]):
        for i, j in np.ndindex(2, 2):
            pair = [ids[2 + i], ids[4 + j]]
            p = math.exp(model.log_likelihood([*before, *pair]) - model.log_likelihood(before))
            assert p == pytest.approx(two_tokens.joint(a)[i, j], abs=1e-4)
    wanted = [[a, 0.55 - a], [0.69 - a, a - 0.24]]
    assert two_tokens.joint(a) == pytest.approx(np.array(wanted))
