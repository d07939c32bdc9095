"""Readings of one mask against a literal loop over a known network, step by step."""

import itertools
import random

import numpy as np
import pytest

from mdlm_probe import models
from mdlm_probe.decoding.schedule import Schedule, amounts
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Answer, Query, Readout
from mdlm_probe.probes.masks import watched_mask

MASK = 99
LETTERS = (Readout("top_id"), Readout("top_logprob"))


class Table:
    """An engine whose answers are a fixed function of the canvas: no network, and no symmetry."""

    def __init__(self):
        self.entry = models.Checkpoint("table", "oracle", "masked", mask_id=MASK)
        self.batches = []

    @staticmethod
    def scores(ids, position):
        rng = np.random.default_rng([position, *(i + 1 for i in ids)])
        return np.log(rng.dirichlet(np.ones(7)))

    def ask(self, queries):
        self.batches.append(len(queries))
        found = []
        for query in queries:
            rows = np.stack([self.scores(query.ids, p) for p in query.positions])
            tops, logprobs = rows.argmax(1), rows.max(1)
            values = {"top_id": tops, "top_logprob": logprobs, "whole": rows}
            values["candidates"] = np.stack([tops, logprobs, logprobs], axis=1)
            found.append(Answer({name: values[name.name] for name in query.readouts}))
        return found


def literal(ids, watched, steps, order, seed):
    """The published loop written plainly: every mask is scored in every step."""
    ids, total = list(ids), ids.count(MASK)
    drawn = [i for i, token in enumerate(ids) if token == MASK]
    random.Random(seed).shuffle(drawn_places := list(range(total)))
    rank = dict(zip(drawn, drawn_places, strict=True))
    for step in range(steps):
        masks = [i for i, token in enumerate(ids) if token == MASK]
        amount = total // steps + (1 if step < total % steps else 0)
        rows = {i: Table.scores(ids, i) for i in masks}
        if amount == len(masks):
            chosen = masks
        elif order == "random":
            chosen = sorted(masks, key=rank.get)[:amount]
        else:
            chosen = sorted(masks, key=lambda i: (-rows[i].max(), i))[:amount]
        if watched in chosen:
            return rows[watched], step + 1
        for i in chosen:
            ids[i] = int(rows[i].argmax())
    raise AssertionError


CANVASES = [
    ((1, MASK, 2, MASK, MASK, 3, MASK, MASK), 1),
    ((MASK, 5, MASK, MASK, 1, MASK, MASK, MASK, MASK), 6),
    ((4, 4, MASK), 2),
    ((MASK,) * 11, 10),
]


@pytest.mark.parametrize("order", ["low_confidence", "random"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 40])
def test_readings_equal_the_literal_loop(steps, order):
    queries = [Query(ids, (watched,), (Readout("whole"),)) for ids, watched in CANVASES]
    # more steps than masks is as many steps as masks: one each
    schedules = [Schedule(steps, order=order, seed=i) for i in range(len(queries))]
    found = watched_mask.read(Table(), queries, schedules)
    for (ids, watched), schedule, reading in zip(CANVASES, schedules, found, strict=True):
        used = min(steps, ids.count(MASK))
        expected, step = literal(ids, watched, used, order, schedule.seed)
        assert reading.step == step
        np.testing.assert_array_equal(reading.answer["whole"], expected[None])


def test_the_comparison_can_fail():
    """Orders and steps do change what is read."""
    ids, watched = CANVASES[3]
    seen = {
        tuple(literal(ids, watched, steps, order, 0)[0])
        for steps, order in itertools.product((1, 3, 11), ("low_confidence", "random"))
    }
    assert len(seen) > 3


def test_a_reading_does_not_depend_on_its_company():
    queries = [Query(ids, (watched,), LETTERS) for ids, watched in CANVASES]
    schedules = [Schedule(3, order="random", seed=i) for i in range(4)]
    together = watched_mask.read(Table(), queries, schedules)
    for query, schedule, expected in zip(queries, schedules, together, strict=True):
        (alone,) = watched_mask.read(Table(), [query], [schedule])
        assert alone.step == expected.step
        assert tuple(alone.answer) == tuple(expected.answer) == LETTERS
        assert all(np.array_equal(alone.answer[n], expected.answer[n]) for n in LETTERS)


def test_finished_canvases_leave_and_one_step_is_one_pass():
    engine = Table()
    queries = [Query(ids, (watched,), LETTERS) for ids, watched in CANVASES]
    watched_mask.read(engine, queries, [Schedule()] * 4)
    assert engine.batches[0] == 4
    assert sum(engine.batches) == 4
    engine.batches.clear()
    watched_mask.read(engine, queries, [Schedule(11)] * 4)
    assert engine.batches == sorted(engine.batches, reverse=True)


@pytest.mark.parametrize(
    ("masks", "steps", "expected"),
    [(10, 1, [10]), (10, 4, [3, 3, 2, 2]), (3, 5, [1, 1, 1, 0, 0]), (6, 3, [2, 2, 2])],
)
def test_amounts_are_even_with_the_remainder_first(masks, steps, expected):
    assert amounts(masks, steps) == expected


def test_a_dry_run_counts_a_likely_number_of_steps():
    entry = models.resolve("oracle")
    counter = DryRun(entry, models.load_border(entry))
    query = Query((5, *(entry.mask_id,) * 9), (1,), LETTERS)
    schedules = [Schedule(1), Schedule(9, order="random", seed=1), Schedule(9, seed=2)]
    found = watched_mask.read(counter, [query] * 3, schedules)
    assert [tuple(reading.answer) for reading in found] == [LETTERS] * 3
    assert found[0].step == 1
    assert 3 <= len(counter.lengths) <= 19


def test_order_does_not_matter_to_the_oracle():
    """One joint explains every order: what is committed first was likely anyway, or is told."""
    model = models.load(models.resolve("oracle"))
    engine = Engine(model, batch_tokens=4096)
    text = "Options: (A) dog, (B) eat, (C) cup\nAnswer:[eat].\n\n" * 4
    ids = engine.border.encode(text + "Options: (A) cow, (B) pen, (C) sing\nAnswer:[")
    masks = (engine.entry.mask_id,) * 12
    query = Query((*ids, *masks), (len(ids),), LETTERS)
    schedules = [Schedule(), Schedule(5), Schedule(12), Schedule(5, order="random", seed=3)]
    found = watched_mask.read(engine, [query] * 4, schedules)
    for reading in found:
        assert engine.border.decode([int(reading.answer["top_id"][0])]) == "sing"
