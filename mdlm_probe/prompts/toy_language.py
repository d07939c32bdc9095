"""The small language: prose and few-shot documents as hidden Markov chains with known matrices.

The bundled models are trained on prose drawn from `prose()`; because the chain is known, the exact
probability of any text, with any tokens missing, can be computed (see `models/oracle.py`).
Numpy only, so that data can be made without torch. Source: ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse

SLOTS = {
    "determiner": "the a this that every some",
    "adjective": "pale quiet golden broken distant gentle hollow narrow old bright bitter silent "
    "heavy humble secret sudden tender weary wild young crooked dusty frozen grey",
    "noun": "wind hill road door ship field light voice tree wall lake child king stranger hunter "
    "widow miller shepherd captain beggar storm meadow tower cellar orchard bell harbour lamp "
    "stone path",
    "verb": "crossed found kept watched left followed heard opened carried feared reached guarded "
    "remembered called drew passed loved lost turned met shook held sought knew",
    "adverb": "slowly again often never softly once still twice alone early",
    "preposition": "under near beyond behind above beside before without",
    "conjunction": "and but while because",
}
FIRSTS = (
    "copper iron silver ivory velvet marble winter harvest candle thunder shadow river "
    "cedar amber salt paper summer midnight garden mountain crystal feather honey ember"
)
SECONDS = (
    "kettle gate coin spire glove stair coat moon wick cloud puppet boat "
    "chest ring vault lantern hat train fence goat glass quill jar nest"
)
COMMA, STOP = ",", "."
STRETCH = 256
"""Words of prose drawn at a time."""
AFTER = {
    "determiner": {"adjective": 0.35, "noun": 0.45, "pair": 0.20},
    "adjective": {"noun": 0.75, "pair": 0.25},
    "noun": {"verb": 0.50, "preposition": 0.15, "stop": 0.25, "comma": 0.10},
    "verb": {"determiner": 0.60, "adverb": 0.25, "preposition": 0.15},
    "adverb": {"preposition": 0.50, "stop": 0.35, "comma": 0.15},
    "preposition": {"determiner": 1.0},
    "comma": {"conjunction": 1.0},
    "conjunction": {"determiner": 1.0},
    "stop": {"determiner": 1.0},
}


@dataclass(frozen=True)
class HiddenMarkov:
    """A hidden Markov chain over tokens.

    Attributes:
        tokens: the vocabulary, one text a token.
        initial: probability of the first state, [states].
        transition: probability of the next state, row to column, [states, states].
        emission: probability of a token in a state, [states, tokens].
    """

    tokens: tuple[str, ...]
    initial: np.ndarray
    transition: sparse.csr_array
    emission: np.ndarray

    def sample(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """One text of `length` token indices."""
        cumulative = self.transition.toarray().cumsum(1)
        emitted = self.emission.cumsum(1)
        out = np.empty(length, dtype=np.int64)
        state = int(self.initial.cumsum().searchsorted(rng.random()))
        for i in range(length):
            out[i] = min(int(emitted[state].searchsorted(rng.random())), len(self.tokens) - 1)
            state = min(int(cumulative[state].searchsorted(rng.random())), len(cumulative) - 1)
        return out


def zipf(count: int, exponent: float = 1.0) -> np.ndarray:
    """Zipf's distribution over ranks 1..count, [count]."""
    weights = np.arange(1, count + 1) ** -exponent
    shares: np.ndarray = weights / weights.sum()
    return shares


@cache
def prose() -> HiddenMarkov:
    """The prose chain: classes of Zipfian words, and 24 pairs of words that only go together.

    Every token carries its leading space, so that texts concatenate. A text starts a sentence. The
    first word of a pair is always followed by its own second word, and a second word never stands
    without its first; pairs are Zipfian, too. First-order in the classes: nothing older than the
    last word tells more about the next.
    """
    firsts = [f" {w}" for w in FIRSTS.split()]
    seconds = [f" {w}" for w in SECONDS.split()]
    classes = {name: [f" {w}" for w in words.split()] for name, words in SLOTS.items()}
    classes |= {"comma": [COMMA], "stop": [STOP]}
    tokens = sorted({w for words in classes.values() for w in words} | {*firsts, *seconds})
    index = {token: i for i, token in enumerate(tokens)}
    names = [*classes, *(f"first{k}" for k in range(24)), *(f"second{k}" for k in range(24))]
    state = {name: i for i, name in enumerate(names)}
    transition = np.zeros((len(names), len(names)))
    emission = np.zeros((len(names), len(tokens)))
    share = zipf(len(firsts))
    for name, words in classes.items():
        emission[state[name], [index[w] for w in words]] = zipf(len(words))
        for follower, p in AFTER[name].items():
            if follower == "pair":
                transition[state[name], [state[f"first{k}"] for k in range(24)]] = p * share
            else:
                transition[state[name], state[follower]] = p
    for k, (first, second) in enumerate(zip(firsts, seconds, strict=True)):
        emission[state[f"first{k}"], index[first]] = 1.0
        emission[state[f"second{k}"], index[second]] = 1.0
        transition[state[f"first{k}"], state[f"second{k}"]] = 1.0
        transition[state[f"second{k}"]] = transition[state["noun"]]
    initial = np.zeros(len(names))
    initial[state["determiner"]] = 1.0
    from scipy import sparse  # a command line that only lists things needn't wait for it

    return HiddenMarkov(tuple(tokens), initial, sparse.csr_array(transition), emission)


@lru_cache(maxsize=64)
def sentences(words: int, seed: int) -> tuple[str, ...]:
    """At least `words` words (and stops) of prose in whole sentences, each with a leading space.

    More words from the same seed begin with the same sentences.
    """
    chain = prose()
    # drawn in steps of one size, so that the first words don't depend on how many are wanted
    rng, drawn = np.random.default_rng(seed), list[str]()
    while not drawn or len(drawn) < words or drawn[-1] != STOP:
        state_of = chain.sample(STRETCH, rng)
        text = [chain.tokens[i] for i in state_of]
        drawn += text[: len(text) - text[::-1].index(STOP)] if STOP in text else []
    ends = [i + 1 for i, word in enumerate(drawn) if word == STOP]
    enough = next(i for i, end in enumerate(ends) if end >= words) + 1
    starts = [0, *ends]
    return tuple("".join(drawn[a:b]) for a, b in zip(starts[:enough], ends, strict=False))


def texts(chain: HiddenMarkov, ids: Sequence[int]) -> str:
    """The text of token indices of a chain."""
    return "".join(chain.tokens[i] for i in ids)
