"""Rows of the committed run: every probe's are named, ordered and counted as its plan says."""

from dataclasses import astuple, fields
from itertools import groupby

import pytest
import reference

from mdlm_probe.core import catalog
from mdlm_probe.core.csv_text import text_of
from mdlm_probe.runs.plan import Job, prepare

PROBES = catalog.names("probe")
RUNS = reference.runs()


def test_every_probe_was_measured():
    assert {probe for probe, _ in RUNS} == set(PROBES)


@pytest.mark.parametrize(("probe", "model"), RUNS)
def test_rows_stand_by_cell_in_the_order_of_the_plan(probe, model):
    module = catalog.load("probe", probe)
    coordinates = [field.name for field in fields(module.Cell)]
    entry = reference.entry(probe, model)
    plan = prepare(Job(probe, model, reference.options(entry)))
    planned = [tuple(map(text_of, astuple(cell))) for cell in plan.cells]
    places, seen = {cell: at for at, cell in enumerate(planned)}, set()
    for kind, columns in zip(catalog.observations(probe), plan.files.values(), strict=True):
        found = reference.rows(probe, model, kind=kind.name)
        assert not found or list(found[0]) == list(columns)
        assert {(row["model"], row["run"]) for row in found} <= {(model, entry["run"])}
        measured = [c for c, _ in groupby(tuple(row[n] for n in coordinates) for row in found)]
        order = [places[cell] for cell in measured]
        assert order == sorted(set(order))
        seen |= set(measured)
    assert seen == set(planned)
    assert entry["cells"] == len(planned)


@pytest.mark.parametrize(("probe", "model"), RUNS)
def test_a_run_begun_before_may_be_resumed(probe, model):
    """Its configuration, with the hashes of its texts, is what the same command has today."""
    entry = reference.entry(probe, model)
    config = prepare(Job(probe, model, reference.options(entry))).config
    assert config["sources"] == entry["config"]["sources"]
    assert reference.options({"config": config}) == reference.options(entry)
