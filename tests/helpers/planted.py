"""Readers whose every answer is known, for tests of what probes and tables make of answers.

A rule, not a network, says what stands at each place of a text. It reads the text itself: where
something stands, how much is appended, what is masked. Answers that differ along every coordinate
of a probe show a coordinate that is swapped, shifted or ignored, which an ideal reader can't.
"""

import math
import random
import re
from dataclasses import asdict
from functools import lru_cache

import pandas as pd
import pytest
import torch

from mdlm_probe import models
from mdlm_probe.core import catalog
from mdlm_probe.engine.engine import Engine
from mdlm_probe.prompts.suite import load


class PlantedReader:
    """A model by a rule: (ids, position) -> {token: probability}; the rest is spread evenly."""

    facts = {}  # noqa: RUF012
    device = "cpu"

    def __init__(self, rule, model="oracle"):
        self.rule, self.entry = rule, models.resolve(model)
        self.border = models.load_border(self.entry)
        self.vocab = self.border.vocab

    def states(self, ids, lengths, rows, positions, origins=None):
        return torch.stack(
            [
                self._row(tuple(ids[row, : lengths[row]].tolist()), at)
                for row, at in zip(rows.tolist(), positions.tolist(), strict=True)
            ]
        )

    def logprobs(self, states):
        return states.log().float()

    def _row(self, ids, at):
        told = self.rule(ids, at)
        mask = self.entry.mask_id
        others = self.vocab - len(told) - (mask is not None)
        row = torch.full((self.vocab,), (1 - sum(told.values())) / others, dtype=torch.float64)
        for token, probability in told.items():
            row[token] = probability
        if mask is not None:
            row[mask] = 0
        return row


def engine(rule, model="oracle"):
    """A real engine over a planted reader, in batches of a few queries."""
    return Engine(PlantedReader(rule, model), batch_tokens=1024)


def drawn(*coordinates):
    """A number from 0 to 1 that differs wherever a coordinate does."""
    return _drawn(repr(coordinates))


@lru_cache(maxsize=2**16)
def _drawn(coordinates):
    """Readers and what is expected of them ask for the same numbers again and again."""
    return random.Random(coordinates).random()


def entropy(told, vocab, masked=True):
    """Of a reader's distribution, in nats."""
    others = vocab - len(told) - masked
    rest = 1 - sum(told.values())
    return -sum(p * math.log(p) for p in told.values()) - rest * math.log(rest / others)


def by_kind(rows):
    """A cell's rows by kind of observation; a probe's only kind is called ""."""
    return rows if isinstance(rows, dict) else {"": rows}


def measured(probe, engine, cells, model="m"):
    """The rows of a probe's run, as its report gets them: by kind where there are several."""
    kinds = {kind.name: [] for kind in catalog.observations_of(probe)}
    found = list(probe.measure(engine, cells))
    assert [cell for cell, _ in found] == list(cells)
    for cell, rows in found:
        for kind, own in by_kind(rows).items():
            kinds[kind] += [{"model": model} | asdict(cell) | row for row in own]
    frames = {
        kind.name: pd.DataFrame(kinds[kind.name], columns=None if kinds[kind.name] else heads)
        for kind in catalog.observations_of(probe)
        for heads in [[column.name for column in kind.columns]]
    }
    return frames.get("", frames)


def compare(table, keys, expected, rel=1e-5):
    """Whether a table says just this, {its keys: {column: value}}; other columns are left alone."""
    found = {}
    for line in table.to_dict("records"):
        key = tuple(line[name] for name in keys)
        assert key not in found, f"twice: {key}"
        found[key] = line
    assert set(found) == set(expected)
    for key, line in expected.items():
        for column, value in line.items():
            where = (*key, column)
            if isinstance(value, str):
                assert (where, found[key][column]) == (where, value)
            else:
                there = float(found[key][column])
                assert there == pytest.approx(float(value), rel=rel, abs=1e-6, nan_ok=True), where


def repetition(ids):
    """What a text says again, by counting."""
    grams = {
        n: [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)] for n in range(len(ids) + 1)
    }
    again = [n for n, some in grams.items() if len(set(some)) < len(some)]
    found = {"longest_repeat": max((n for n in again if n), default=0)}
    for name, n in (("distinct_1", 1), ("distinct_2", 2), ("repeated", 4)):
        some = grams.get(n, [])
        found[name] = len(set(some)) / len(some) if some else math.nan
    found["repeated"] = 1 - found["repeated"]
    for n in (1, 2):
        some = grams.get(n, [])
        shares = [some.count(gram) / len(some) for gram in dict.fromkeys(some)]
        found[f"entropy_{n}"] = -sum(p * math.log(p) for p in shares) if some else math.nan
    return found


def frontier(lines):
    """Each line's nats above the least of those with as much entropy or more.

    Args:
        lines: by name, the rows of a line with `nll`, `scorer_tokens` and `entropy_1`.
    """
    nats = {name: own["nll"].sum() / own["scorer_tokens"].sum() for name, own in lines.items()}
    varied = {name: own["entropy_1"].mean() for name, own in lines.items()}
    return {
        name: {
            "n": len(lines[name]),
            "entropy_1": varied[name],
            "perplexity": math.exp(nats[name]),
            "matched": nats[name] - min(nats[o] for o in lines if varied[o] >= varied[name] - 1e-9),
        }
        for name in lines
    }


# ---------------------------------------------------------------------- few-shot questions


WORD, ANSWERED = re.compile(r"\(A\) (\w+), \(B\) (\w+), \(C\) (\w+)"), re.compile(r"\[([A-C])\]")


class Questions:
    """What stands in a few-shot prompt of the small lexicon, read from its text.

    Answers are letters. What is nearly right is told from what is: a word with the right letter
    first, and nothing at all.
    """

    def __init__(self, border, items=9, seed=0, shots=2):
        self.border = border
        self.points = {}
        for name, source in load("few-shot", "small").sets.items():
            for number, item in enumerate(source.items(items, seed, shots)):
                self.points[item.options] = name, number, "ABC"[item.right]

    def point(self, block):
        """Set, number and right letter of a block's question; None if it is about numbers."""
        return self.points.get(WORD.search(block).groups())

    def size(self, blocks):
        """Whether answered blocks of numbers choose the smallest or the largest."""
        (size,) = {self.size_of(block) for block in blocks} - {None}
        return size

    @staticmethod
    def size_of(block):
        """Which number an answered block chooses; None of a block of words."""
        numbers = WORD.search(block).groups()
        if not all(n.isdigit() for n in numbers):
            return None
        chosen = int(numbers["ABC".index(ANSWERED.search(block)[1])])
        return {min(map(int, numbers)): "smallest", max(map(int, numbers)): "largest"}[chosen]

    def nearly(self, letter, coin):
        """A wrong token that starts with the letter, or an end that says nothing."""
        long = {"A": "Austria", "B": "Bulgaria", "C": "Charles"}[letter]
        return self.border.token(long if coin < 0.6 else "].")

    def answer(self, letter, *coordinates):
        """A reader's answer, {token: probability}: right in about half of all cases."""
        p = 0.1 + 0.4 * drawn("right", *coordinates)
        near = self.nearly(letter, drawn("near", *coordinates))
        return {self.border.token(letter): p, near: 0.3}
