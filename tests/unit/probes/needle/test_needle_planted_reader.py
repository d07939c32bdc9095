"""The needle probe on a reader whose every answer is known, from prompts to whole tables.

What it knows depends on the needle, the length of the text, the sentence before which the fact
stands, and on the place in the answer: it may know the first token alone, or all but the last.
"""

import itertools
import math

import numpy as np
import planted
import pytest

from mdlm_probe.probes.needle import probe as needle
from mdlm_probe.probes.needle import report
from mdlm_probe.probes.needle.facts import load

LENGTHS, DEPTHS, ABSENT, ITEMS, SEED = (48, 96), (0, 30, 60, 90, 100), -1, 6, 5
OWN = """
lexicons:
  full:
    intro: " "
    turn: " "
    needles:
      x: {fact: "the {key} found the {value}.", answer: "the {key} found the {value}",
          keys: people, values: things}
      y: {fact: "the {key} lost the {value}.", answer: "the {key} lost the {value}",
          keys: people, values: things}
words:
  people: miller widow hunter shepherd
  things: [copper bell, old a, copper amber, pale copper lamp]
"""
NEARLY = {" a": " above", " amber": " a", " bell": " lamp", " lamp": " bell"}
"""Wrong last tokens: what is said begins as the right answer, or is the beginning of it."""


class Reader:
    """The rule: the next token of the answer, by what stands before it."""

    def __init__(self, source):
        self.border = planted.PlantedReader(None).border
        facts = [source.needle(item, SEED) for item in range(ITEMS)]
        self.items = {fact.opening: item for item, fact in enumerate(facts)}
        assert len(self.items) == ITEMS, "two needles are asked for in the same words"
        self.facts = facts
        self.ends = {}  # tokens up to the end of every sentence of the filler
        self.totals = {}

    def __call__(self, ids, at):
        *body, asked = self.border.decode(ids[:at]).split(".")
        opening = next(o for o in self.items if asked.strip().startswith(o))
        item = self.items[opening]
        fact = self.facts[item].fact.removesuffix(".")
        sentences = [sentence.strip() for sentence in body]
        after = sentences.index(fact) if fact in sentences else ABSENT
        step = len(self.border.pieces(asked)) - len(self.border.pieces(f" {opening}"))
        answer = self.answer_of(item)
        total = at - step + len(answer)
        length = LENGTHS[total > LENGTHS[0]]
        filler = [len(self.border.pieces(f" {s}.")) for s in sentences if s != fact]
        self.ends[item, length] = [0, *itertools.accumulate(filler)]
        self.totals.setdefault((item, length, after), total)
        said = asked.strip().removeprefix(opening)
        return self.answer(item, length, after, step, said)

    def answer_of(self, item):
        return [self.border.decode([i]) for i in self.border.pieces(self.facts[item].answer)]

    def answer(self, item, length, after, step, said):
        token = self.answer_of(item)[step]
        p = 0.2 + 0.4 * planted.drawn("needle", item, length, after, step, said)
        wrong = NEARLY.get(token, " young")
        return {self.border.token(token): p, self.border.token(wrong): 0.3}


def place(ends, depth):
    """The number of the boundary between sentences that is nearest to a share of the text."""
    away = [abs(end - ends[-1] * depth / 100) for end in ends]
    return away.index(min(away))


def expected(reader, masked):
    """What each text must give: {(item, length, depth): column values}."""
    found = {}
    for item, length, depth in itertools.product(range(ITEMS), LENGTHS, (*DEPTHS, ABSENT)):
        after = ABSENT if depth == ABSENT else place(reader.ends[item, length], depth)
        answer = reader.answer_of(item)
        steps = [
            reader.answer(item, length, after, n, "".join(answer[:n])) for n in range(len(answer))
        ]
        right = [s[reader.border.token(a)] for s, a in zip(steps, answer, strict=True)]
        found[item, length, depth] = {
            "correct": all(p > 0.3 for p in right),
            "logp": sum(map(math.log, right)),
            "entropy": planted.entropy(steps[0], reader.border.vocab, masked),
            "top1_prob": max(steps[0].values()),
            "tokens": reader.totals[item, length, after],
            "right_tokens": len(answer),
            "fact_after": math.nan if after == ABSENT else after,
            "sentences": len(reader.ends[item, length]) - 1,
            "needle_at": math.nan if after == ABSENT else reader.ends[item, length][after],
        }
    return found


@pytest.fixture(scope="module", params=["oracle", "oracle-causal"])
def run(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("needles") / "own.yaml"
    path.write_text(OWN)
    reader = Reader(load(str(path)))
    options = {"needles": str(path), "lengths": LENGTHS, "depths": DEPTHS, "limit": ITEMS}
    cells = needle.plan(**options, seed=SEED)
    rows = planted.measured(needle, planted.engine(reader, request.param), cells)
    return report.tables(rows), expected(reader, request.param == "oracle"), rows


def column(told, name, length, depth):
    return np.array([told[item, length, depth][name] for item in range(ITEMS)], dtype=float)


def mean(told, name, length, depths=DEPTHS):
    return np.mean([column(told, name, length, depth) for depth in depths])


def test_every_answer_is_the_readers(run):
    _, told, rows = run
    want = {key: line | {"logp_right": line["logp"]} for key, line in told.items()}
    for line in want.values():
        del line["logp"]
    planted.compare(rows, ["item", "context_length", "depth"], want)
    assert 0.2 < np.mean([line["correct"] for line in told.values()]) < 0.8
    assert {line["right_tokens"] for line in told.values()} == {2, 3}


def test_the_overview_is_the_readers(run):
    tables, told, _ = run
    want = {
        (length,): {
            "n": ITEMS,
            "tokens": mean(told, "tokens", length),
            "exact": mean(told, "correct", length),
            "logp_right": mean(told, "logp", length),
            "guessed": mean(told, "correct", length, [ABSENT]),
            "logp_gain": mean(told, "logp", length) - mean(told, "logp", length, [ABSENT]),
        }
        for length in LENGTHS
    }
    planted.compare(tables["overview"], ["context_length"], want)


def test_the_grid_is_the_readers(run):
    tables, told, _ = run
    want = {}
    for length, depth in itertools.product(LENGTHS, (*DEPTHS, ABSENT)):
        logp = mean(told, "logp", length, [depth])
        gain = math.nan if depth == ABSENT else logp - mean(told, "logp", length, [ABSENT])
        line = {"n": ITEMS, "exact": mean(told, "correct", length, [depth])}
        want[length, depth] = line | {"logp_right": logp, "logp_gain": gain}
    planted.compare(tables["grid"], ["context_length", "depth"], want)


def test_what_depth_costs_is_the_readers(run):
    tables, told, _ = run
    want = {}
    parts = {"end - start": ([100], [0]), "ends - middle": ([0, 100], [60])}
    for length, (name, (plus, minus)) in itertools.product(LENGTHS, parts.items()):
        gaps = {
            to: mean(told, measure, length, plus) - mean(told, measure, length, minus)
            for to, measure in (("exact", "correct"), ("logp_right", "logp"))
        }
        want[length, name] = {"n": ITEMS, **gaps}
    planted.compare(tables["depth"], ["context_length", "contrast"], want)


def test_what_length_costs_is_the_readers(run):
    tables, told, _ = run
    short, long = (
        {
            "exact": mean(told, "correct", length),
            "logp_right": mean(told, "logp", length),
            "logp_gain": mean(told, "logp", length) - mean(told, "logp", length, [ABSENT]),
        }
        for length in LENGTHS
    )
    line = {"n": ITEMS} | {name: short[name] - long[name] for name in short}
    planted.compare(tables["length"], ["shortest", "longest"], {LENGTHS: line})
