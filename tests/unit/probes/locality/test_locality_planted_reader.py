"""The locality probe on a reader whose every answer is known, from prompts to whole tables.

Its answer depends on the test point, on where block and question stand among how many examples, and
on the masks at the question.
"""

import itertools
import math

import numpy as np
import planted
import pytest

from mdlm_probe.probes.locality import probe as locality
from mdlm_probe.probes.locality import report

SETS = ("animal-smallest", "animal-largest", "verb-largest")
PLACES, MASKS, POSITIONS, ITEMS = ("left", "middle", "right"), (0, 1, 3), (0, 1, 4, 5), 3
SHOTS, DISTRACTORS = 2, 5
CELLS = {"tasks": SETS, "positions": POSITIONS, "limit": ITEMS, "shots": SHOTS}
CELLS |= {"distractors": DISTRACTORS, "lexicon": "small", "answer": "letter"}
ITEM = list(itertools.product(SETS, range(ITEMS)))
CURVE = ["question", "masks", "position"]
NEAREST = {
    "right": ((5,), (0,), 0, 5),
    "left": ((0,), (5,), 0, 5),
    "middle": ((1,), (5,), 0, 2),
}
"""By the question's place: positions nearest and farthest, and their distances in examples.

Two shots and five distractors, seven examples: in the middle the question comes after three of
them. Position 1 ends in front of it, 4 and 5 leave one and two distractors in between.
"""


class Reader:
    """The rule: the answer by what the prompt shows, whatever the cell says."""

    def __init__(self):
        self.border = planted.PlantedReader(None).border
        self.questions = planted.Questions(self.border, ITEMS)
        self.mask = self.border.decode([self.border.entry.mask_id])

    def __call__(self, ids, at):
        return self.read(self.border.decode(ids), ids.index(self.border.entry.mask_id) == at)

    def read(self, text, is_first):
        blocks = [block for block in text.removesuffix("\n\n").split("\n\n") if block]
        (at,) = (n for n, block in enumerate(blocks) if self.mask in block)
        name, item, letter = self.questions.point(blocks[at])
        sizes = [self.questions.size_of(b) for n, b in enumerate(blocks) if n != at]
        assert {None, name.rpartition("-")[2]} == set(sizes)
        words = [n for n, kind in enumerate(sizes) if kind is None]
        assert words == list(range(words[0], words[0] + SHOTS)), "no block of relevant examples"
        assert len(sizes) == SHOTS + DISTRACTORS
        asked = blocks[at].partition("\nAnswer:[")[2]
        masks = 0 if asked == f"{self.mask}]." else asked.count(self.mask)
        return self.answer(letter, name, item, at, masks, words[0], is_first)

    def answer(self, letter, *coordinates):
        return self.questions.answer(letter, *coordinates)


def expected(reader):
    """What each cell must say: {(place, masks, position): {(set, item): column values}}."""
    letters = {(name, n): letter for name, n, letter in reader.questions.points.values()}
    found = {}
    for place, k, position in itertools.product(PLACES, MASKS, POSITIONS):
        at = {"left": 0, "middle": 3, "right": 7}[place]
        for name, item in ITEM:
            letter = letters[name, item]
            told = reader.answer(letter, name, item, at, k, position, True)
            p = told[reader.border.token(letter)]
            line = {"correct": float(p > 0.3), "p_right": p, "logp_right": math.log(p)}
            line |= {"entropy": planted.entropy(told, reader.border.vocab)}
            line |= {"top1_prob": max(told.values()), "right": letter}
            found.setdefault((place, k, position), {})[name, item] = line
    return found


@pytest.fixture(scope="module")
def run():
    reader = Reader()
    cells = locality.plan(**CELLS, question=PLACES, masks=MASKS)
    rows = planted.measured(locality, planted.engine(reader), cells)
    return report.tables(rows), expected(reader), rows


def mean(told, key, column):
    return np.mean([told[key][name][column] for name in ITEM])


def test_every_answer_is_the_readers(run):
    _, told, rows = run
    want = {
        (*key, *name): {c: v for c, v in line.items() if c != "p_right"}
        for key, found in told.items()
        for name, line in found.items()
    }
    planted.compare(rows, [*CURVE, "set", "item"], want)
    assert 0.35 < rows["correct"].mean() < 0.65


def test_accuracies_are_the_readers(run):
    tables, told, _ = run
    want = {
        key: {"accuracy": mean(told, key, "correct"), "p_right": mean(told, key, "p_right")}
        | {"n": len(ITEM), "tasks": 2}
        for key in told
    }
    planted.compare(tables["accuracy"], CURVE, want)


def test_indices_are_the_readers(run):
    tables, told, _ = run
    want = {}
    for place, k in itertools.product(PLACES, MASKS):
        near, far, *distances = NEAREST[place]
        ends = [np.mean([mean(told, (place, k, p), "correct") for p in e]) for e in (near, far)]
        line = dict(zip(("nearest_distance", "farthest_distance"), distances, strict=True))
        want[place, k] = line | {"index": ends[0] - ends[1], "n": len(ITEM), "tasks": 2}
    planted.compare(tables["index"], CURVE[:2], want)
