"""The masks probe on a reader whose every answer is known, from prompts to whole tables.

Its answer depends on the test point, the distractors, and on what stands on which side of the
prompt, so that tables show whatever is exchanged or ignored on the way.
"""

import itertools
import math

import numpy as np
import planted
import pytest

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.probes.masks import probe as masks
from mdlm_probe.probes.masks import report

SETS = ("animal-smallest", "animal-largest", "verb-largest")
AMOUNTS, ITEMS, STEPS = ("0", "3", "20%"), 2, 3
COMMON = {"tasks": SETS, "masks": AMOUNTS, "limit": ITEMS, "shots": (2,), "lexicon": "small"}
COMMON |= {"answer": "letter"}
PLANS = (
    {"distractors": (3,), "side": ("right", "left", "both"), "filler": ("mask", "dot")}
    | {"steps": (1, STEPS), "order": ("low_confidence", "random")},
    {"distractors": (1,), "side": ("left",), "filler": ("mask", "text")},
)
SERIES = ["distractors", "filler", "side", "steps", "order"]
ITEM = list(itertools.product(SETS, range(ITEMS)))


def surer(point):
    """Fillers that are surer than the answer: all, none, or some of them, by test point."""
    return int(14 * planted.drawn("surer", *point))


class Reader:
    """The rule: the answer by what the prompt holds; other masks are surer or less sure than it."""

    def __init__(self):
        self.border = planted.PlantedReader(None).border
        self.questions = planted.Questions(self.border, ITEMS)
        self.begins = self.border.pieces("Options: (A) ")[0]
        self.dot, self.happy = self.border.token("."), self.border.token("happy")
        self.mask = self.border.entry.mask_id
        self.opens = self.border.pieces("\nAnswer:[")[0]
        self.lengths, self.read = {}, {}

    def __call__(self, ids, at):
        first = ids.index(self.begins)
        end = len(ids) - ids[::-1].index(self.opens)
        if ids[first:end] not in self.read:
            self.read[ids[first:end]] = self.point(self.border.decode(ids[first:end]))
        letter, point = self.read[ids[first:end]]
        self.lengths[point] = end + 1 - first
        if at != end:
            number = [i for i in range(len(ids)) if not first <= i <= end].index(at)
            return {self.happy: 0.9 if number < surer(point) else 0.15}
        left, right = ids[:first], ids[end + 1 :]
        return self.answer(letter, *point, *self.tail(left, right), ids.count(self.mask))

    def point(self, text):
        """The right letter, and which test point it is among how many distractors."""
        *shots, asked = text.split("\n\n")
        name, item, letter = self.questions.point(asked)
        assert name.endswith(self.questions.size(shots))
        others = sum(self.questions.size_of(block) is not None for block in shots)
        return letter, (name, item, others)

    def answer(self, letter, *coordinates):
        return self.questions.answer(letter, *coordinates)

    def tail(self, left, right):
        """What is appended, and how much on either side."""
        told = {*left, *right}
        if not told:
            kind = "none"
        elif told <= {self.mask, self.happy}:
            kind = "mask"
        else:
            kind = "dot" if told <= {self.dot, *self.border.pieces("].")} else "text"
        return kind, len(left), len(right)


def step_of(point, fillers, order, seed):
    """The step that commits the answer's mask, and how many masks are left then."""
    name, item, others, side = point
    total = fillers + 1
    amounts = [total // STEPS + (step < total % STEPS) for step in range(STEPS)]
    if order == "low_confidence":
        before = min(surer((name, item, others)), fillers)
    else:
        own = {"right": 0, "left": fillers, "both": fillers // 2}[side]
        before = Schedule(STEPS, order="random", seed=seed).priorities(total)[own]
    step = next(n for n in range(STEPS) if before < sum(amounts[: n + 1]))
    return step + 1, total - sum(amounts[:step])


def expected(reader, cells):
    """What each cell must say: {series and amount: {item: column values}}."""
    found = {}
    right = {(name, n): letter for name, n, letter in reader.questions.points.values()}
    for cell in cells:
        point = cell.set, cell.item, cell.distractors
        length = reader.lengths[point]
        count = {"0": 0, "3": 3, "20%": round(0.2 * length)}[cell.masks]
        left = {"left": count, "both": count // 2}.get(cell.side, 0)
        step, visible = 1, 1 + count * (cell.filler == "mask")
        if cell.steps > 1:
            step, visible = step_of((*point, cell.side), count, cell.order, seed_of(cell))
        letter = right[cell.set, cell.item]
        told = reader.answer(letter, *point, cell.filler, left, count - left, visible)
        p = told[reader.border.token(letter)]
        line = {"correct": p > 0.3, "p_right": p, "right": letter, "top1_prob": max(told.values())}
        line |= {"entropy": planted.entropy(told, reader.border.vocab), "step": step}
        line |= {"appended": count, "mask_tokens": 1 + count * (cell.filler == "mask")}
        series = cell.distractors, cell.filler, cell.side, cell.steps, cell.order
        found.setdefault((*series, cell.masks), {})[cell.set, cell.item] = line
    for series in {key[:-1] for key in found if key[1] != "none"}:
        found[*series, "0"] = found[series[0], "none", "none", 1, "none", "0"]
    return {key: line for key, line in found.items() if key[1] != "none"}


@pytest.fixture(scope="module")
def run():
    reader = Reader()
    cells = [cell for one in PLANS for cell in masks.plan(**COMMON, **one)]
    rows = planted.measured(masks, planted.engine(reader), cells)
    return report.tables(rows), expected(reader, cells), rows


def values(told, key, column, names=ITEM):
    return np.array([told[key][name][column] for name in names], dtype=float)


def means(told, key, column, names=ITEM):
    return values(told, key, column, names).mean()


def allseries(told):
    return {key[:-1] for key in told}


def test_every_answer_is_the_readers(run):
    """Of each single cell, in the order asked."""
    _, told, rows = run
    assert len(told) == (3 * 4 + 2) * 3
    for line in rows[rows["filler"] != "none"].to_dict("records"):
        want = told[*(line[c] for c in SERIES), line["masks"]][line["set"], line["item"]]
        assert math.exp(line["logp_right"]) == pytest.approx(want["p_right"], rel=1e-5)
        for column in ("right", "correct", "step", "appended", "mask_tokens"):
            assert line[column] == want[column], column
    hits = [line["correct"] for found in told.values() for line in found.values()]
    assert 0.35 < np.mean(hits) < 0.65


def test_the_curves_are_the_readers(run):
    tables, told, _ = run
    columns = ("p_right", "appended", "mask_tokens", "entropy", "top1_prob", "step")
    want = {
        key: {column: means(told, key, column) for column in columns}
        | {"accuracy": means(told, key, "correct"), "n": len(ITEM), "tasks": 2}
        for key in told
    }
    planted.compare(tables["curve"], [*SERIES, "masks"], want)


def test_the_overview_is_the_curves_side_by_side(run):
    tables, told, _ = run
    want = {}
    for (others, filler, side, steps, order, k), found in told.items():
        line = want.setdefault((others, side, steps, order, k), {})
        line[f"accuracy {filler}"] = np.mean([one["correct"] for one in found.values()])
        line[f"p_right {filler}"] = np.mean([one["p_right"] for one in found.values()])
    planted.compare(tables["overview"], ["distractors", "side", "steps", "order", "masks"], want)


@pytest.mark.parametrize("by", [None, "task"])
def test_drops_are_the_readers(run, by):
    tables, told, _ = run
    want = {}
    parts = {(): ITEM}
    if by:
        parts = {(t,): [i for i in ITEM if i[0].startswith(t)] for t in ("animal", "verb")}
    for series, (part, names) in itertools.product(allseries(told), parts.items()):
        curve = [100 * means(told, (*series, k), "correct", names) for k in AMOUNTS]
        best = int(np.argmax(curve))
        line = {"smallest": "0", "best": AMOUNTS[best], "largest": "20%", "n": len(names)}
        line |= {"points": curve[best] - curve[-1], "from_start": curve[0] - curve[-1]}
        if not by:
            line["degradation"] = (max(curve) - min(curve)) / max(curve)
        want[*series, *part] = line
    planted.compare(tables["tasks" if by else "drop"], SERIES + [by] * bool(by), want)


def test_changes_are_the_readers(run):
    tables, told, _ = run
    want = {}
    for series, k in itertools.product(allseries(told), AMOUNTS[1:]):
        line = {"against": "0", "units": 2}
        for name, column in (("accuracy", "correct"), ("p_right", "p_right")):
            gap = means(told, (*series, k), column) - means(told, (*series, "0"), column)
            line[name] = 100 * gap
        want[*series, k] = line
    planted.compare(tables["changes"], [*SERIES, "masks"], want)


def test_controls_are_the_readers(run):
    """Masks in one step minus as many tokens of something else."""
    tables, told, _ = run
    want = {}
    others = [series for series in allseries(told) if series[1] != "mask"]
    for (shown, filler, side, *_), k in itertools.product(others, AMOUNTS[1:]):
        line = {"units": 2}
        for name, column in (("accuracy", "correct"), ("p_right", "p_right")):
            ours, theirs = (
                means(told, (shown, f, side, 1, "none", k), column) for f in ("mask", filler)
            )
            line[name] = 100 * (ours - theirs)
        want[shown, side, k, filler] = line
    planted.compare(tables["controls"], ["distractors", "side", "masks", "control"], want)
