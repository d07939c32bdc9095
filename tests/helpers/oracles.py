"""Tiny oracles whose joint can be written out, sound ones and broken ones."""

import itertools

import numpy as np
import torch
from scipy import sparse

from mdlm_probe.engine.engine import Engine
from mdlm_probe.models import oracle
from mdlm_probe.models._border import Border
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.prompts.prompt import MASK as MASK_TEXT
from mdlm_probe.prompts.toy_language import HiddenMarkov

STATES, TOKENS, MASK = 3, 4, 4


class Letters(Border):
    """A border of one token a letter: a, b, c, d."""

    vocab = MASK + 1

    def __init__(self, entry):
        self.entry = entry

    def encode(self, prompt):
        return self.pieces(prompt if isinstance(prompt, str) else prompt.text())

    def pieces(self, text, inside=False):
        return tuple(MASK if letter == MASK_TEXT else "abcd".index(letter) for letter in text)

    def decode(self, ids):
        return "".join("abcd_"[i] for i in ids)


def chain(seed: int) -> HiddenMarkov:
    rng = np.random.default_rng(seed)

    def rows(n: int, m: int) -> np.ndarray:
        values = rng.random((n, m)) ** 4
        return values / values.sum(1, keepdims=True)

    transition = sparse.csr_array(rows(STATES, STATES))
    return HiddenMarkov(tuple("abcd"), rows(1, STATES)[0], transition, rows(STATES, TOKENS))


def model(seed: int) -> oracle.Oracle:
    entry = Checkpoint("oracle", "oracle", "masked", mask_id=MASK, context=64)
    border = Letters(entry)
    return oracle.Oracle(entry, border, chain(seed), range(TOKENS), TOKENS + 1, smoothing=0.0)


def engine(seed: int, broken: type | None = None) -> Engine:
    found = model(seed)
    return Engine(broken(found) if broken else found, batch_tokens=4096)


def joint(seed: int, prompt: tuple[int, ...], length: int) -> np.ndarray:
    """p(the next `length` tokens | prompt), [tokens] * length, by the chain's matrices."""
    hmm = chain(seed)
    transition, state = hmm.transition.toarray(), hmm.initial
    for token in prompt:
        state = (state * hmm.emission[:, token]) @ transition
    found = np.empty((TOKENS,) * length)
    for text in itertools.product(range(TOKENS), repeat=length):
        after = state / state.sum()
        for token in text:
            after = (after * hmm.emission[:, token]) @ transition
        found[text] = after.sum()
    return found


class Broken:
    """An oracle with a fault."""

    def __init__(self, inner):
        self.inner = inner
        self.__dict__ |= {k: getattr(inner, k) for k in ("entry", "border", "device", "vocab")}
        self.facts = {}

    def states(self, ids, lengths, rows, positions, origins=None):
        return self.inner.states(ids, lengths, rows, positions, origins)

    def logprobs(self, states):
        return self.inner.logprobs(states)


class Sharpened(Broken):
    """Every marginal is sharpened: no joint has such conditionals."""

    def logprobs(self, states):
        return torch.log_softmax(1.5 * self.inner.logprobs(states), -1)


class Deaf(Broken):
    """What stands right next to a mask on its right is not heard: a pairwise term is missing."""

    def states(self, ids, lengths, rows, positions, origins=None):
        found = []
        for row, position in zip(rows.tolist(), positions.tolist(), strict=True):
            seen = ids[row : row + 1].clone()
            seen[0, position + 1 : position + 2] = self.entry.mask_id
            own = torch.zeros(1, dtype=torch.long)
            at = torch.tensor([position])
            found.append(self.inner.states(seen, lengths[row : row + 1], own, at))
        return torch.cat(found)
