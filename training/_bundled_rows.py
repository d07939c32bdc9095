"""Rows of the bundled models' training stream: few-shot documents, prose, facts, short answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from mdlm_probe.core.cells import seed as seed_of
from training import _bundled_data as data
from training import _bundled_facts as facts
from training._bundled_data import Ids

LONGEST = 1000
"""Tokens of the longest rows in training: every place of the context is trained."""
SHARES = {"few-shot": 0.6, "prose": 0.1, "facts": 0.2, "answered": 0.1}
"""Shares of the rows by what they hold."""
JITTERED, JITTER = 0.5, 0.25


@dataclass(frozen=True)
class Batch:
    """Rows of one length.

    Attributes:
        ids: token ids, [rows, length].
        answers: which of them an earlier part of the row decides: answers of examples, and values
            of facts that were told before, [rows, length].
    """

    ids: Ids
    answers: Bool[np.ndarray, "rows length"]


def batch(rows: int, length: int, *seed: object, split: str = "train") -> Batch:
    """A batch: rows of one length, of the four kinds in `SHARES`.

    A row is a window of one document, never of two.

    - few-shot: examples; in half of the documents, a sentence stands before every fourth example on
      average. A window starts at the document's start, or ends at its end (with the end token or
      without), or lies anywhere; a third each.
    - prose: of the small language.
    - facts: prose in which facts come back; see `_bundled_facts.told`.
    - answered: such a text, a blank line, a short answer, and ends of text up to the row's end.

    Args:
        rows, length: how many rows, and how many tokens each.
        seed: what makes this batch different from others.
        split: of the option sets.
    """
    rng = np.random.default_rng(seed_of("bundled", *seed, rows, length, split))
    bounds = np.cumsum(list(SHARES.values()))
    places = (np.arange(rows) + rng.random()) / rows  # stratified: shares hold in every batch
    few, plain, told, answered = np.bincount(np.searchsorted(bounds, places), minlength=4)
    text = data.prose(plain, length, rng)
    parts = [
        _documents(few, length, rng, split),
        (text, np.zeros(text.shape, dtype=bool)),
        facts.rows(told, length, rng),
        facts.answered(answered, length, rng),
    ]
    ids, answers = zip(*parts, strict=True)
    return Batch(np.concatenate(ids), np.concatenate(answers))


def _documents(
    rows: int, length: int, rng: np.random.Generator, split: str
) -> tuple[Ids, Bool[np.ndarray, "rows length"]]:
    count = length // data.EXAMPLE + 2
    drawn = data.topics(rows, rng)
    tokens = data.spell(*data.exercises(drawn, data.sequence(drawn, count, rng), rng, split))
    jittered = rng.random(rows) < JITTERED
    gaps = (rng.random((rows, count)) < JITTER) & jittered[:, None]
    between = iter(data.sentences(int(gaps.sum()), rng))
    ids = np.empty((rows, length), dtype=np.int64)
    answers = np.zeros((rows, length), dtype=bool)
    place = np.arange(data.EXAMPLE) == data.ANSWER
    for row in range(rows):
        pieces, marks = [], []
        for example, gap in zip(tokens[row], gaps[row], strict=True):
            if gap:
                pieces.append(next(between))
                marks.append(np.zeros(len(pieces[-1]), dtype=bool))
            pieces.append(example)
            marks.append(place)
        whole, marked = np.concatenate(pieces), np.concatenate(marks)
        start, end = _window(len(whole), length, rng)
        ids[row], answers[row] = whole[start : start + length], marked[start : start + length]
        if end:
            ids[row, -1] = data.EOS_ID
    return ids, answers


def _window(whole: int, length: int, rng: np.random.Generator) -> tuple[int, bool]:
    """Where a row starts in its document, and whether its last token becomes the end of text."""
    kind = rng.integers(0, 6)
    if kind < 2:
        return 0, False
    if kind < 4:  # the document's last blank line becomes the end token, or is left out
        return (whole - length, True) if kind == 2 else (whole - length - 1, False)
    return int(rng.integers(0, whole - length)), False
