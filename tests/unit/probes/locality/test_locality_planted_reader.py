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
SHOTS, DISTRACTORS, SEED = 2, 5, 3
CELLS = {"tasks": SETS, "positions": POSITIONS, "limit": ITEMS, "shots": SHOTS}
CELLS |= {"distractors": DISTRACTORS, "lexicon": "small", "answer": "letter"}
CELLS |= {"seed": SEED}
ITEM = list(itertools.product(SETS, range(ITEMS)))
CURVE = ["question", "question_masks", "position"]
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
        self.questions = planted.Questions(self.border, ITEMS, SEED, SHOTS)
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
            line |= {"top1_prob": max(told.values()), "right": letter, "told": told}
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
        (*key, *name): {c: v for c, v in line.items() if c not in ("p_right", "told")}
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


def gap(told, plus, minus):
    """The mean accuracy of some keys minus that of others."""
    ends = [np.mean([mean(told, key, "correct") for key in keys]) for keys in (plus, minus)]
    return ends[0] - ends[1]


def test_shapes_are_the_readers(run):
    """Positions 1 and 4 are as near to halfway, 2.5; both are the middle."""
    tables, told, _ = run
    want = {}
    for place, k in itertools.product(PLACES, MASKS):
        middle = [(place, k, p) for p in (1, 4)]
        parts = {"primacy": [0], "recency": [5], "ends - middle": [0, 5]}
        for name, ends in parts.items():
            value = gap(told, [(place, k, p) for p in ends], middle)
            want[place, k, name] = {"value": value, "n": len(ITEM), "tasks": 2}
    planted.compare(tables["shape"], ["question", "question_masks", "part"], want)


def test_changes_of_the_index_are_the_readers(run):
    tables, told, _ = run
    want = {}
    for place, k in itertools.product(PLACES, MASKS[1:]):
        near, far, *_ = NEAREST[place]
        index = [
            gap(told, [(place, m, p) for p in near], [(place, m, p) for p in far])
            for m in (k, MASKS[0])
        ]
        line = {"against": 0, "index_change": index[0] - index[1], "n": len(ITEM), "tasks": 2}
        want[place, k] = line
    planted.compare(tables["change"], ["question", "question_masks"], want)


def test_places_are_the_readers(run):
    tables, told, _ = run
    want = {}
    for k in MASKS:
        left, *others = ([(place, k, p) for p in POSITIONS] for place in PLACES)
        gaps = [gap(told, left, other) for other in others]
        names = [f"left - {place}" for place in (*PLACES[1:], "lowest other")]
        for name, value in zip(names, [*gaps, max(gaps)], strict=True):
            want[k, name] = {"value": value, "n": len(ITEM), "tasks": 2}
    planted.compare(tables["places"], ["question_masks", "contrast"], want)


def test_choices_are_the_readers(run):
    """What is answered: the right letter, or a token that is none of the options."""
    tables, told, _ = run
    want = {}
    for key, found in told.items():
        letters = [line["right"] if line["correct"] else "other" for line in found.values()]
        shares = {name: letters.count(name) / len(letters) for name in ("A", "B", "C", "other")}
        want[key] = {f"chose_{name}": share for name, share in shares.items()}
        want[key]["top_choice"] = max(shares[name] for name in "ABC")
    planted.compare(tables["accuracy"], CURVE, want)


def test_a_causal_reader_is_read_behind_the_end():
    """The same answers to the same texts, without a mask."""
    reader = Reader()

    def rule(ids, at):
        assert at == len(ids)
        return reader.read(reader.border.decode(ids) + f"{reader.mask}].", True)

    rows = planted.measured(locality, planted.engine(rule, "oracle-causal"), locality.plan(**CELLS))
    told = expected(reader)
    want = {
        (position, *name): {
            "correct": line["correct"],
            "logp_right": line["logp_right"],
            "entropy": planted.entropy(line["told"], reader.border.vocab, masked=False),
        }
        for (place, k, position), found in told.items()
        for name, line in found.items()
        if (place, k) == ("right", 0)
    }
    planted.compare(rows, ["position", "set", "item"], want)
