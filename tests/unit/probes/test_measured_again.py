"""Some cells of the committed run, measured again: the same rows, but for rounding."""

import json
from dataclasses import astuple, fields
from functools import cache
from itertools import groupby

import pytest
import reference
from planted import by_kind
from simulations import cases, simulation

from mdlm_probe import models
from mdlm_probe.core import catalog
from mdlm_probe.core.csv_text import text_of
from mdlm_probe.engine.engine import Engine
from mdlm_probe.runs.loaded_models import scorer_of
from mdlm_probe.runs.plan import Job, prepare

SOME = 3
"""Cells of each run: the first, the last, and those evenly between."""

ROUNDING = {"rel": 1e-3, "abs": 2e-5}
"""How far a number may be from the committed one: other processors add up in another order."""

LISTED = ROUNDING | {"abs": ROUNDING["abs"] + 1e-4}
"""The same of numbers in lists, which are written with four places: the last one may differ."""


def some_of_every_probe():
    """Half of the models of each probe that was measured; in `make statistics` all."""
    return [
        chosen
        for _, own in groupby(reference.runs(), lambda run: run[0])
        for chosen in cases(own, every=2)
    ]


@cache
def loaded(name):
    return models.load(models.resolve(name))


def engine_of(plan, entry):
    batch = entry["batch"]
    engine = Engine(
        loaded(plan.entry.name),
        batch_tokens=batch["tokens"],
        gradients=batch.get("gradients"),
        kv_cache_tokens=batch.get("held"),
    )
    if scorer := scorer_of(plan.options, plan.entry):
        engine.scorer = Engine(loaded(scorer.name), batch_tokens=batch["scorer"])
    return engine


def changes(row, before):
    """Fields of a row that aren't as they were written before; numbers may be rounded otherwise."""
    differ = [name for name in row if text_of(row[name]) != before.get(name, "")]
    return [name for name in differ if not before.get(name) or not alike(row[name], before[name])]


def alike(value, before):
    """Whether a number, or a list of numbers, is but for rounding what was written before."""
    if isinstance(value, float):
        return value == pytest.approx(float(before), **ROUNDING)
    if not isinstance(value, list):
        return False
    written = json.loads(before)
    numbers = all(isinstance(one, (int, float)) for one in (*value, *written))
    return numbers and value == pytest.approx(written, **LISTED)


@simulation
@pytest.mark.parametrize(("probe", "model"), some_of_every_probe())
@pytest.mark.slow
def test_cells_measured_again_give_the_committed_rows(probe, model):
    entry = reference.entry(probe, model)
    plan = prepare(Job(probe, model, reference.options(entry)))
    coordinates = [field.name for field in fields(plan.probe.Cell)]
    kept = {
        (kind.name, cell): list(rows)
        for kind in catalog.observations(probe)
        for cell, rows in groupby(
            reference.rows(probe, model, kind=kind.name),
            lambda row: tuple(row[name] for name in coordinates),
        )
    }
    last = len(plan.cells) - 1
    cells = [plan.cells[last * n // (SOME - 1)] for n in range(SOME)]
    found = list(plan.probe.measure(engine_of(plan, entry), cells))
    assert [cell for cell, _ in found] == cells
    for cell, own in found:
        name = tuple(map(text_of, astuple(cell)))
        rows = {kind: some for kind, some in by_kind(own).items() if some}
        assert set(rows) == {kind for kind, other in kept if other == name}
        for kind, some in rows.items():
            assert len(some) == len(kept[kind, name])
            for row, before in zip(some, kept[kind, name], strict=True):
                assert not changes(row, before), (row, before)


def test_a_change_is_seen():
    before = {"text": "a", "number": "0.123457", "none": "", "right": "1"}
    row = {"text": "a", "number": 0.1234567, "none": None, "right": True}
    assert changes(row, before) == []
    assert changes(row | {"number": 0.12348}, before) == [], "the last digits may differ"
    assert changes(row | {"number": 0.1237}, before) == ["number"]
    assert changes(row | {"text": "b", "right": False}, before) == ["text", "right"]
    assert changes(row | {"none": 0.0, "number": None}, before) == ["number", "none"]
    lists = {"numbers": "[-5.2966,-0.0501]", "words": '["a","b"]'}
    assert changes({"numbers": [-5.2967, -0.0502], "words": ["a", "b"]}, lists) == []
    for other in ([-5.2966], [-5.2966, -0.0504], [-5.31, -0.0501], []):
        assert changes({"numbers": other}, lists) == ["numbers"]
    assert changes({"words": ["a", "c"]}, lists) == ["words"]
