"""The oracle against enumeration of every hidden path and every filling."""

import itertools

import numpy as np
import pytest
import torch
from oracles import Letters
from scipy import sparse

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import oracle
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.prompts.toy_language import HiddenMarkov

STATES, TOKENS, MASK = 3, 4, 4


def chain(seed: int) -> HiddenMarkov:
    rng = np.random.default_rng(seed)

    def rows(n: int, m: int) -> np.ndarray:
        values = rng.random((n, m)) ** 2
        return values / values.sum(1, keepdims=True)

    return HiddenMarkov(
        tuple("abcd"),
        rows(1, STATES)[0],
        sparse.csr_array(rows(STATES, STATES)),
        rows(STATES, TOKENS),
    )


def of(hmm: HiddenMarkov, kind: str = "masked") -> oracle.Oracle:
    entry = Checkpoint(
        "oracle", "oracle", kind, mask_id=MASK if kind == "masked" else None, context=999
    )
    ids = range(len(hmm.tokens))
    return oracle.Oracle(entry, Letters(entry), hmm, ids, TOKENS + 1, smoothing=0.0)


def model(seed: int, kind: str = "masked") -> oracle.Oracle:
    return of(chain(seed), kind)


def probability(hmm: HiddenMarkov, text: tuple[int, ...]) -> float:
    """p(text) by summing over all hidden paths."""
    transition = hmm.transition.toarray()
    total = 0.0
    for path in itertools.product(range(len(hmm.initial)), repeat=len(text)):
        p = hmm.initial[path[0]]
        for i, state in enumerate(path):
            p *= hmm.emission[state, text[i]]
            if i + 1 < len(path):
                p *= transition[state, path[i + 1]]
        total += p
    return total


def posterior(hmm: HiddenMarkov, text: list[int], position: int) -> np.ndarray:
    """p(token at position | visible tokens) by summing over all fillings of the masks."""
    free = [i for i, token in enumerate(text) if token == MASK]
    found = np.zeros(TOKENS)
    for filling in itertools.product(range(TOKENS), repeat=len(free)):
        full = list(text)
        for i, token in zip(free, filling, strict=True):
            full[i] = token
        found[full[position]] += probability(hmm, tuple(full))
    return found / found.sum()


def ask(m: oracle.Oracle, texts: list[list[int]], places: list[tuple[int, int]]) -> np.ndarray:
    longest = max(map(len, texts))
    ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
    rows, positions = torch.tensor(places).unbind(1)
    states = m.states(ids, torch.tensor([len(t) for t in texts]), rows, positions)
    return m.logprobs(states).exp().numpy()


@pytest.mark.parametrize("seed", range(4))
def test_masked_posterior_equals_enumeration(seed):
    texts = [[0, MASK, 2, MASK, 1], [MASK, MASK, 3], [1, 1, MASK, MASK, MASK]]
    places = [(r, i) for r, t in enumerate(texts) for i, x in enumerate(t) if x == MASK]
    found = ask(model(seed), texts, places)
    expected = [posterior(chain(seed), texts[r], i) for r, i in places]
    assert found[:, :TOKENS] == pytest.approx(np.array(expected), abs=1e-6)
    assert (found[:, MASK] == 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_causal_posterior_equals_enumeration(seed):
    text = [2, 0, 3, 1]
    found = ask(model(seed, "causal"), [text] * 5, [(i, i) for i in range(5)])
    for i in range(5):
        prefix = [*text[:i], MASK]
        assert found[i, :TOKENS] == pytest.approx(posterior(chain(seed), prefix, i), abs=1e-6)


def test_likelihood_equals_enumeration_and_marginalises_masks():
    m, hmm = model(7), chain(7)
    assert m.log_likelihood([0, 1, 2, 3]) == pytest.approx(np.log(probability(hmm, (0, 1, 2, 3))))
    expected = sum(probability(hmm, (0, x, 2)) for x in range(TOKENS))
    assert m.log_likelihood([0, MASK, 2]) == pytest.approx(np.log(expected))


def test_appended_masks_change_nothing_and_a_token_does():
    m = model(3)
    base = ask(m, [[0, 1, MASK]], [(0, 2)])
    for k in (1, 5, 40):
        assert ask(m, [[0, 1, MASK] + [MASK] * k], [(0, 2)]) == pytest.approx(base, abs=1e-6)
    assert np.abs(ask(m, [[0, 1, MASK, 2]], [(0, 2)]) - base).max() > 1e-3


def test_any_reveal_order_gives_the_same_joint():
    m, text = model(5), [0, 1, 3]
    totals = []
    for order in itertools.permutations(range(3)):
        seen, total = [MASK] * 3, 0.0
        for i in order:
            total += np.log(ask(m, [seen], [(0, i)])[0, text[i]])
            seen[i] = text[i]
        totals.append(total)
    assert totals == pytest.approx([m.log_likelihood(text)] * 6, abs=1e-5)


def parts(seed: int) -> HiddenMarkov:
    """Two languages, one or the other for good, whose letters are all in both."""
    one, other = chain(seed), chain(seed + 10)
    return HiddenMarkov(
        one.tokens,
        np.concatenate([one.initial * 0.3, other.initial * 0.7]),
        sparse.csr_array(sparse.block_diag([one.transition, other.transition])),
        np.concatenate([one.emission, other.emission]),
    )


def test_languages_that_mix_are_weighed_as_by_enumeration():
    hmm, text = parts(3), [0, MASK, 2, MASK]
    found = ask(of(hmm), [text] * 2, [(0, 1), (1, 3)])
    for row, place in zip(found, (1, 3), strict=True):
        assert row[:TOKENS] == pytest.approx(posterior(hmm, text, place), abs=1e-6)


@pytest.mark.parametrize(("left", "right", "state"), [(201, 200, 0), (200, 201, 1)])
def test_sides_that_speak_for_different_languages_leave_a_posterior(left, right, state):
    """Each side is so improbable in the other's language that a float has no room for it."""
    rare = 1e-9
    sure = np.array([[1 - rare, rare], [rare, 1 - rare]])
    hmm = HiddenMarkov(("a", "b"), np.array([0.5, 0.5]), sparse.csr_array(np.eye(2)), sure)
    ours = of(hmm)
    found = ask(ours, [[0] * left + [MASK] + [1] * right], [(0, left)])
    assert found[0, :2] == pytest.approx(sure[state], abs=1e-6)
    assert ours.log_likelihood([0] * left + [1] * right) == pytest.approx(
        np.log(0.5) + 200 * np.log(rare), rel=1e-6
    )


def test_visible_positions_are_refused():
    with pytest.raises(ProbeError, match="masked positions"):
        ask(model(0), [[0, 1]], [(0, 1)])


def test_the_language_is_a_proper_chain():
    chain = oracle.language()
    assert chain.initial.sum() == pytest.approx(1)
    assert chain.emission.sum(1) == pytest.approx(np.ones(len(chain.initial)))
    assert chain.transition.sum(1) == pytest.approx(np.ones(len(chain.initial)))
