"""Prose in which facts come back, and short answers that end: rows of the training stream.

A fact says something anew in every row, so that nothing of it can be in the weights: who reads the
row has to look it up.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool

from mdlm_probe.prompts import toy_language
from training import _bundled_data as data
from training._bundled_data import Ids

FACTS = 4
"""Most facts of a row."""
MENTIONS = (0.04, 0.8)
"""Smallest and largest share of a row's sentences that tell a fact; drawn log-uniformly."""
DRAWN = 64
"""Sentences drawn at a time."""
VALUE = -2
"""The place of a fact's value among its tokens."""
BODY = (0.2, 0.8)
"""Smallest and largest share of an answered row that is text before the answer."""
ANSWERED, RECALLED = 3, 0.7
"""Most sentences of an answer, and the share of them that tell one of the row's facts."""

Marked = tuple[Ids, Bool[np.ndarray, "..."]]
"""Tokens, and which of them an earlier part of the row decides."""


def facts(rng: np.random.Generator) -> Ids:
    """One to four facts "the KEY VERB the VALUE.", no two of one key, [facts, 6]."""
    ids = data.ids_of()
    nouns, verbs = (
        np.array([ids[" " + word] for word in toy_language.SLOTS[slot].split()])
        for slot in ("noun", "verb")
    )
    count = int(rng.integers(1, FACTS + 1))
    drawn = rng.permutation(nouns)[: 2 * count].reshape(2, count)
    out = np.full((count, 6), ids[" the"])
    out[:, 1], out[:, 4] = drawn
    out[:, 2] = rng.choice(verbs, count)
    out[:, 5] = ids[toy_language.STOP]
    return out


def prose(rng: np.random.Generator) -> Iterator[Ids]:
    """Sentences of prose without end."""
    while True:
        yield from (text[:-1] for text in data.sentences(DRAWN, rng))  # without the blank line


def told(
    known: Ids, share: float, prose: Iterator[Ids], rng: np.random.Generator
) -> Iterator[Marked]:
    """Sentences without end, of which a share tell one of the facts.

    The value of a fact that was told before is marked.

    Args:
        known: from `facts`.
        share: chance that a sentence tells a fact.
        prose: where the other sentences come from.
        rng: the source of chance.
    """
    before = set[int]()
    while True:
        fact = int(rng.integers(len(known))) if rng.random() < share else None
        text = next(prose) if fact is None else known[fact]
        mark = np.zeros(len(text), dtype=bool)
        mark[VALUE] = fact in before
        if fact is not None:
            before.add(fact)
        yield text, mark


def _share(rng: np.random.Generator) -> float:
    low, high = MENTIONS
    return float(low * (high / low) ** rng.random())


def _until(parts: Iterator[Marked], length: int) -> list[Marked]:
    """The first parts that hold a number of tokens or more."""
    out, total = list[Marked](), 0
    while total < length:
        out.append(next(parts))
        total += len(out[-1][0])
    return out


def rows(count: int, length: int, rng: np.random.Generator) -> Marked:
    """Rows of prose in which facts come back at random distances, cut anywhere at the end."""
    ids, marks, text = _empty(count, length), np.zeros((count, length), dtype=bool), prose(rng)
    for row in range(count):
        _write(_until(told(facts(rng), _share(rng), text, rng), length), ids[row], marks[row])
    return ids, marks


def answered(count: int, length: int, rng: np.random.Generator) -> Marked:
    """Rows of a text with facts, a blank line, an answer of a few sentences, and ends of text.

    Source: LLaDA, arXiv 2502.09992, fills answers up with ends of text and trains on them.
    """
    ids, marks, text = _empty(count, length), np.zeros((count, length), dtype=bool), prose(rng)
    blank = np.array([data.ids_of()[data.BETWEEN]]), np.zeros(1, dtype=bool)
    for row in range(count):
        known = facts(rng)
        body = _until(told(known, _share(rng), text, rng), round(rng.uniform(*BODY) * length))
        answer = told(known, RECALLED, text, rng)
        said = [next(answer) for _ in range(rng.integers(1, ANSWERED + 1))]
        _write([*body, blank, *said], ids[row], marks[row])
    return ids, marks


def _empty(count: int, length: int) -> Ids:
    return np.full((count, length), data.EOS_ID)


def _write(parts: list[Marked], ids: Ids, marks: Bool[np.ndarray, " length"]) -> None:
    """Parts one after the other into a row, in place, as far as it goes."""
    texts, marked = zip(*parts, strict=True)
    for whole, row in ((np.concatenate(texts), ids), (np.concatenate(marked), marks)):
        row[: len(whole)] = whole[: len(row)]
