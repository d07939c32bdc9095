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
AMOUNTS, ITEMS, STEPS, SEED = ("0", "3", "20%"), 2, 3, 2
COMMON = {"tasks": SETS, "limit": ITEMS, "lexicon": "small", "answer": "letter", "seed": SEED}
PLANS = (
    {"distractors": (3,), "side": ("right", "left", "both"), "filler": ("mask", "dot")}
    | {"shots": (2,), "masks": AMOUNTS}
    | {"steps": (1, STEPS), "order": ("low_confidence", "random")},
    {"distractors": (1,), "side": ("both",), "filler": ("mask", "text", "eos")}
    | {"shots": (2,), "masks": AMOUNTS},
    {"distractors": (3,), "shots": (1,), "masks": ("0",)},
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
        self.questions = {n: planted.Questions(self.border, ITEMS, SEED, n) for n in (1, 2)}
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
        *examples, asked = text.split("\n\n")
        sizes = [planted.Questions.size_of(block) for block in examples]
        shots = sizes.count(None)
        name, item, letter = self.questions[shots].point(asked)
        assert {None, name.rpartition("-")[2]} == set(sizes)
        return letter, (name, item, len(sizes) - shots, shots)

    def answer(self, letter, *coordinates):
        return self.questions[2].answer(letter, *coordinates)

    def tail(self, left, right):
        """What is appended, and how much on either side."""
        told = {*left, *right}
        if not told:
            kind = "none"
        elif told <= {self.mask, self.happy}:
            kind = "mask"
        elif told <= {self.border.entry.eos_ids[0], *self.border.pieces("].")}:
            kind = "eos"
        else:
            kind = "dot" if told <= {self.dot, *self.border.pieces("].")} else "text"
        closing = self.border.pieces("].")
        if kind not in ("none", "mask"):  # the answer is closed before them, and nothing else is
            assert closing[0] not in left
            assert right[: len(closing)] == closing[: len(right)]
        return kind, len(left), len(right)


def step_of(point, fillers, order, seed):
    """The step that commits the answer's mask, and how many masks are left then."""
    name, item, others, shots, side = point
    total = fillers + 1
    amounts = [total // STEPS + (step < total % STEPS) for step in range(STEPS)]
    if order == "low_confidence":
        before = min(surer((name, item, others, shots)), fillers)
    else:
        own = {"right": 0, "left": fillers, "both": fillers // 2}[side]
        before = Schedule(STEPS, order="random", seed=seed).priorities(total)[own]
    step = next(n for n in range(STEPS) if before < sum(amounts[: n + 1]))
    return step + 1, total - sum(amounts[:step])


def expected(reader, cells):
    """What each cell must say: {series and amount: {item: column values}}."""
    found = {}
    right = {
        (name, item, shots): letter
        for shots, questions in reader.questions.items()
        for name, item, letter in questions.points.values()
    }
    for cell in cells:
        point = cell.set, cell.item, cell.distractors, cell.shots
        length = reader.lengths[point]
        count = {"0": 0, "3": 3, "20%": round(0.2 * length)}[cell.amount]
        left = {"left": count, "both": count // 2}.get(cell.side, 0)
        step, visible = 1, 1 + count * (cell.filler == "mask")
        if cell.steps > 1:
            step, visible = step_of((*point, cell.side), count, cell.order, seed_of(cell))
        letter = right[cell.set, cell.item, cell.shots]
        told = reader.answer(letter, *point, cell.filler, left, count - left, visible)
        p = told[reader.border.token(letter)]
        line = {"correct": p > 0.3, "p_right": p, "right": letter, "top1_prob": max(told.values())}
        line |= {"entropy": planted.entropy(told, reader.border.vocab), "answer_step": step}
        line |= {"appended": count, "mask_tokens": 1 + count * (cell.filler == "mask")}
        filler = cell.filler if cell.shots == 2 else "one shot"
        series = cell.distractors, filler, cell.side, cell.steps, cell.order
        found.setdefault((*series, cell.amount), {})[cell.set, cell.item] = line
    for series in {key[:-1] for key in found if key[1] not in ("none", "one shot")}:
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
    return {key[:-1] for key in told if key[1] != "one shot"}


@pytest.mark.slow
def test_every_answer_is_the_readers(run):
    """Of each single cell, in the order asked."""
    _, told, rows = run
    told = {key: line for key, line in told.items() if key[1] != "one shot"}
    assert len(told) == (3 * 4 + 3) * 3
    for line in rows[rows["filler"] != "none"].to_dict("records"):
        want = told[*(line[c] for c in SERIES), line["amount"]][line["set"], line["item"]]
        assert math.exp(line["logp_right"]) == pytest.approx(want["p_right"], rel=1e-5)
        for column in ("right", "correct", "answer_step", "appended", "mask_tokens"):
            assert line[column] == want[column], column
    hits = [line["correct"] for found in told.values() for line in found.values()]
    assert 0.35 < np.mean(hits) < 0.65


def test_the_curves_are_the_readers(run):
    """Nothing is appended to one shot: that is no curve."""
    tables, told, _ = run
    columns = ("p_right", "appended", "mask_tokens", "entropy", "top1_prob", "answer_step")
    want = {
        key: {column: means(told, key, column) for column in columns}
        | {"accuracy": means(told, key, "correct"), "n": len(ITEM), "tasks": 2}
        for key in told
        if key[1] != "one shot"
    }
    planted.compare(tables["curve"], [*SERIES, "amount"], want)


def test_the_overview_is_the_curves_side_by_side(run):
    tables, told, _ = run
    want = {}
    for (others, filler, side, steps, order, k), found in told.items():
        if filler == "one shot":
            continue
        line = want.setdefault((others, side, steps, order, k), {})
        line[f"accuracy {filler}"] = np.mean([one["correct"] for one in found.values()])
        line[f"p_right {filler}"] = np.mean([one["p_right"] for one in found.values()])
    planted.compare(tables["overview"], ["distractors", "side", "steps", "order", "amount"], want)


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
        line |= {"points": curve[best] - curve[-1], "from_start_points": curve[0] - curve[-1]}
        if not by:
            line["degradation"] = (max(curve) - min(curve)) / max(curve)
        want[*series, *part] = line
    planted.compare(tables["tasks" if by else "drop"], SERIES + [by] * bool(by), want)


def test_changes_are_the_readers(run):
    tables, told, _ = run
    want = {}
    for series, k in itertools.product(allseries(told), AMOUNTS[1:]):
        line = {"against": "0", "units": 2}
        for name, column in (("accuracy_points", "correct"), ("p_right_points", "p_right")):
            gap = means(told, (*series, k), column) - means(told, (*series, "0"), column)
            line[name] = 100 * gap
        want[*series, k] = line
    planted.compare(tables["changes"], [*SERIES, "amount"], want)


def test_controls_are_the_readers(run):
    """Masks in one step minus as many tokens of something else."""
    tables, told, _ = run
    want = {}
    others = [series for series in allseries(told) if series[1] != "mask"]
    for (shown, filler, side, *_), k in itertools.product(others, AMOUNTS[1:]):
        line = {"units": 2}
        for name, column in (("accuracy_points", "correct"), ("p_right_points", "p_right")):
            ours, theirs = (
                means(told, (shown, f, side, 1, "none", k), column) for f in ("mask", filler)
            )
            line[name] = 100 * (ours - theirs)
        want[shown, side, k, filler] = line
    planted.compare(tables["controls"], ["distractors", "side", "amount", "control"], want)


def gap(told, plus, minus):
    """Differences of accuracy and probability, in points."""
    names = {"accuracy_points": "correct", "p_right_points": "p_right"}
    return {to: 100 * (means(told, plus, c) - means(told, minus, c)) for to, c in names.items()}


def test_steps_are_the_readers(run):
    """Masks filled in several steps minus the same masks in one."""
    tables, told, _ = run
    want = {
        (*series[:1], *series[2:], k): {"units": 2}
        | gap(told, (*series, k), (*series[:3], 1, "none", k))
        for series, k in itertools.product(allseries(told), AMOUNTS[1:])
        if series[3] > 1
    }
    keys = ["distractors", "side", "steps", "order", "amount"]
    planted.compare(tables["steps"], keys, want)


def test_gains_of_shots_are_the_readers(run):
    """Two shots against one, beside what masks cost with two; the mean is over tasks."""
    tables, told, _ = run
    want, means_of = {}, {}
    one = 3, "one shot", "none", 1, "none", "0"
    for series in allseries(told):
        if series[:2] != (3, "mask"):
            continue
        for task in ("animal", "verb"):
            names = [item for item in ITEM if item[0].startswith(task)]
            two, fewer, masked = (
                100 * means(told, key, "correct", names)
                for key in ((*series, "0"), one, (*series, "20%"))
            )
            want[*series[2:], task] = {"gain_points": two - fewer, "drop_points": two - masked}
        both = [want[*series[2:], task] for task in ("animal", "verb")]
        line = {
            name: np.mean([part[name] for part in both]) for name in ("gain_points", "drop_points")
        }
        line |= {
            "difference_points": line["gain_points"] - line["drop_points"],
            "tasks": 2,
            "n": len(ITEM),
        }
        means_of[series[2:]] = line | {"shots": "2 - 1", "amount": "20%"}
    keys = ["side", "steps", "order"]
    planted.compare(tables["gains"], [*keys, "task"], want)
    planted.compare(tables["gain"], keys, means_of)


def test_lengths_are_the_readers(run):
    """What masks cost among one and among three distractors, and how much more among three."""
    tables, told, _ = run
    want, costs = {}, {}
    for others in (1, 3):
        series = others, "mask", "both", 1, "none"
        costs[others] = gap(told, (*series, "0"), (*series, "20%"))
        want[str(others)] = costs[others]
    want["3 - 1"] = {name: costs[3][name] - costs[1][name] for name in costs[3]}
    want = {
        ("mask", "both", 1, "none", head): line | {"few": "0", "many": "20%", "units": 2}
        for head, line in want.items()
    }
    planted.compare(tables["lengths"], ["filler", "side", "steps", "order", "distractors"], want)
