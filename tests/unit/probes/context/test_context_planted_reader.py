"""The context probe on a reader whose every answer is known, from prompts to whole tables.

What it knows of a token depends on the text, on the token's place there, and on what stands at the
right: how many tokens are seen, which is the first, and how many masks there are.
"""

import itertools
import json
import math

import numpy as np
import pandas as pd
import planted
import pytest

from mdlm_probe.probes.context import probe as context
from mdlm_probe.probes.context import report

WORDS = "wind hill road door ship field light voice tree wall lake child king stranger".split()
SPANS, RIGHTS, SOURCES, BEYOND = (1, 3), ("1", "2", "all"), ("own", "foreign"), ("masks", "cut")
TASKS = {"one": 3, "two": 2}
LEFT, LENGTH = 4, 7


def text_of(task, number):
    """Different words in every text; the texts of a task are of different lengths."""
    start = 5 * number + 3 * len(task) + (task == "two")
    return [WORDS[(start + n) % len(WORDS)] for n in range(LEFT + LENGTH + number)]


class Reader:
    """The rule: the next token of a text, by the place and by what is seen behind."""

    def __init__(self):
        self.border = planted.PlantedReader(None).border
        texts = {(t, n): text_of(t, n) for t, count in TASKS.items() for n in range(count)}
        self.texts = {
            key: self.border.pieces("".join(f" {w}" for w in own)) for key, own in texts.items()
        }
        self.mask = planted.PlantedReader(None).entry.mask_id

    def __call__(self, ids, at):
        key = next(key for key, own in self.texts.items() if own[:LEFT] == ids[:LEFT])
        behind = list(itertools.dropwhile(lambda token: token == self.mask, ids[at:]))
        seen = list(itertools.takewhile(lambda token: token != self.mask, behind))
        masks = sum(token == self.mask for token in ids[at:])
        first = seen[0] if seen else None
        return self.answer(key, at, len(seen), first, masks)

    def answer(self, key, at, seen, first, masks):
        p = 0.1 + 0.8 * planted.drawn("context", key, at, seen, first, masks)
        return {self.texts[key][at]: p}

    def logps(self, key, span, shown, beyond):
        """Of each token, left to right."""
        own = self.texts[key]
        hidden = len(own) - LEFT - span - len(shown) if beyond == "masks" else 0
        first = shown[0] if shown else None
        tokens = range(LEFT, LEFT + span)
        return [
            math.log(self.answer(key, at, len(shown), first, LEFT + span - at + hidden)[own[at]])
            for at in tokens
        ]


def shown(reader, key, span, source, amount):
    """The tokens at the right; None where there are not so many."""
    task, number = key
    behind = reader.texts[key][LEFT + span :]
    size = len(behind) if amount == "all" else int(amount)
    if source == "own":
        return behind[:size]
    others = [(task, (number + n) % TASKS[task]) for n in range(1, TASKS[task])]
    rest = [reader.texts[other][LEFT + span :] for other in others]
    return next((own[:size] for own in rest if len(own) >= size), None)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    reader = Reader()
    path = tmp_path_factory.mktemp("context") / "own.jsonl"
    lines = []
    for task, number in reader.texts:
        words = [f" {word}" for word in text_of(task, number)]
        text = {"prompt": "".join(words[:LEFT]), "continuation": "".join(words[LEFT:])}
        lines.append({"id": f"{task}{number}", "task": task} | text)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = {"span": tuple(map(str, SPANS)), "right": RIGHTS, "right_from": SOURCES}
    cells = context.plan(prompts=str(path), **options, beyond=BEYOND)
    rows = planted.measured(context, planted.engine(reader), cells)
    told = {}
    for key, span, beyond in itertools.product(reader.texts, SPANS, BEYOND):
        told[key, span, beyond, "none", "0"] = 0, reader.logps(key, span, (), beyond)
        for source, amount in itertools.product(SOURCES, RIGHTS):
            right = shown(reader, key, span, source, amount)
            if right is not None:
                told[key, span, beyond, source, amount] = (
                    len(right),
                    reader.logps(key, span, right, beyond),
                )
    return report.tables(rows), told, rows


def gain(told, key, *where, side=("own", "all")):
    """Nats a token, or None where the text has no such right side."""
    if (key, *where, *side) not in told:
        return None
    both, left = (np.mean(told[key, *where, *s][1]) for s in (side, ("none", "0")))
    return both - left


def groups():
    each = {task: [(task, n) for n in range(count)] for task, count in TASKS.items()}
    return each | {"all": [key for own in each.values() for key in own]}


def test_every_row_is_the_readers(run):
    _, told, rows = run
    names = ["prompt", "span_tokens", "beyond", "right_from", "right_amount"]
    want = {
        (f"{task}{number}", *rest): {
            "logp": sum(logps),
            "right_shown": size,
            "text_tokens": len(logps),
        }
        for ((task, number), *rest), (size, logps) in told.items()
    }
    planted.compare(rows, names, want)
    for row in rows.to_dict("records"):
        key = (row["task"], int(row["prompt"][-1]))
        _, logps = told[key, *(row[name] for name in names[1:])]
        assert row["token_logps"] == pytest.approx(logps, abs=1e-3)


def test_the_gains_are_the_readers(run):
    tables, told, _ = run
    want = {}
    for (task, keys), span, beyond in itertools.product(groups().items(), SPANS, BEYOND):
        for side in itertools.product(SOURCES, RIGHTS):
            own = [g for key in keys if (g := gain(told, key, span, beyond, side=side)) is not None]
            if own:
                want[task, span, beyond, *side] = {"n": len(own), "gain": np.mean(own)}
    names = ["task", "span_tokens", "beyond", "right_from", "right_amount"]
    planted.compare(tables["gain"], names, want)
    assert np.ptp([line["gain"] for line in want.values()]) > 0.5


def test_the_controls_are_the_readers(run):
    tables, told, _ = run
    want = {}
    for (task, keys), span, beyond in itertools.product(groups().items(), SPANS, BEYOND):
        for amount in RIGHTS:
            sides = [
                [gain(told, key, span, beyond, side=(source, amount)) for key in keys]
                for source in SOURCES
            ]
            pairs = [(a, b) for a, b in zip(*sides, strict=True) if b is not None]
            if pairs:
                own, foreign = np.mean(pairs, axis=0)
                line = {"own_gain": own, "foreign_gain": foreign, "over_foreign": own - foreign}
                want[task, span, beyond, amount] = {"n": len(pairs), **line}
    planted.compare(tables["control"], ["task", "span_tokens", "beyond", "right_amount"], want)


def test_the_overview_and_places_are_the_readers(run):
    tables, told, _ = run
    want, places = {}, {}
    for (task, keys), span, beyond in itertools.product(groups().items(), SPANS, BEYOND):
        sides = [
            np.array([told[key, span, beyond, *side][1] for key in keys])
            for side in (("none", "0"), ("own", "all"))
        ]
        left, both = (side.mean() for side in sides)
        want[task, span, beyond] = {
            "n": len(keys),
            "left_per_token": left,
            "both_per_token": both,
            "gain": both - left,
        }
        for place, value in enumerate((sides[1] - sides[0]).mean(axis=0), 1):
            places[task, span, beyond, place] = value
    planted.compare(tables["overview"], ["task", "span_tokens", "beyond"], want)
    found = (
        tables["places"]
        .set_index(["task", "span_tokens", "beyond", "place"])["place_gain"]
        .to_dict()
    )
    assert found.keys() == places.keys()
    for where, value in places.items():  # rows have four digits
        assert found[where] == pytest.approx(value, abs=2e-4), where


@pytest.mark.slow
def test_the_share_is_that_of_the_exact_gain(run):
    """A model that gains by half of what the exact one does, less its own loss."""
    _, _, rows = run
    exact = rows.assign(model=report.EXACT)
    nothing = rows["right_from"] == "none"
    left = rows[nothing].set_index(["prompt", "span_tokens", "beyond"])["logp"].rename("alone")
    alone = rows.join(left, on=["prompt", "span_tokens", "beyond"])["alone"]
    half = rows.assign(logp=alone + (rows["logp"] - alone) / 2 - 0.3 * rows["text_tokens"])
    table = report.tables(pd.concat([exact, half], ignore_index=True))["share"]
    assert set(table["model"]) == {"m"}
    assert table["below_left"].to_numpy() == pytest.approx(0.3)
    lines = table[table["of_exact"].notna()]
    assert lines["of_exact"].to_numpy() == pytest.approx(0.5)
    below = 0.3 + lines["exact_gain"].to_numpy() / 2
    assert lines["below_both"].to_numpy() == pytest.approx(below)
    assert 0 < len(lines) < len(table)
