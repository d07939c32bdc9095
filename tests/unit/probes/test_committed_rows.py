"""Rows of the committed run: every probe's are named, ordered and counted as its plan says."""

from dataclasses import astuple, fields
from itertools import groupby

import pytest
import reference

from mdlm_probe.core import catalog
from mdlm_probe.core.columns import names
from mdlm_probe.core.sheet import text_of
from mdlm_probe.runs.plan import Job, prepare

PROBES = catalog.names("probe")
RUNS = [
    (probe, path.stem.removeprefix(f"{probe}__"))
    for probe in PROBES
    for path in sorted((reference.FOLDER / probe).glob(f"{probe}__*.csv"))
]


def options_of(entry):
    """A run's options as a command gives them: lists are tuples."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in entry["config"]["options"].items()
    }


def test_every_probe_was_measured():
    assert {probe for probe, _ in RUNS} == set(PROBES)


@pytest.mark.parametrize(("probe", "model"), RUNS)
def test_rows_stand_by_cell_in_the_order_of_the_plan(probe, model):
    module, found = catalog.load("probe", probe), reference.rows(probe, model)
    coordinates = [field.name for field in fields(module.Cell)]
    assert list(found[0]) == ["model", *coordinates, *names(module.COLUMNS)]
    assert {row["model"] for row in found} == {model}
    entry = reference.entry(probe, model)
    plan = prepare(Job(probe, model, options_of(entry)))
    planned = [tuple(map(text_of, astuple(cell))) for cell in plan.cells]
    measured = groupby(tuple(row[name] for name in coordinates) for row in found)
    assert [cell for cell, _ in measured] == planned
    assert entry["cells"] == len(planned)


@pytest.mark.parametrize(("probe", "model"), RUNS)
def test_a_run_begun_before_may_be_resumed(probe, model):
    """Its configuration, with the hashes of its texts, is what the same command has today."""
    entry = reference.entry(probe, model)
    config = prepare(Job(probe, model, options_of(entry))).config
    assert config["sources"] == entry["config"]["sources"]
    assert options_of({"config": config}) == options_of(entry)
