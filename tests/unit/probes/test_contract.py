"""Every probe in the folder keeps the contract; found by listing."""

import ast
import dataclasses
import inspect
import re
import typing

import probe_cases
import pytest

from mdlm_probe.cli.options import plan_options
from mdlm_probe.core import catalog, columns
from mdlm_probe.core.files import PACKAGE

PROBES = catalog.names("probe")
PARTS = {"errors", "queries", "few_shot", "tasks", "cells", "maths", "decoding", "likelihood"}


def test_there_are_probes_and_each_has_a_report():
    assert "locality" in PROBES
    assert set(PROBES) <= set(catalog.names("report"))


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_declares_what_the_others_rely_on(name):
    probe = catalog.load("probe", name)
    assert catalog.first_line("probe", name).endswith("?"), "the first line asks a question"
    assert set(probe.KINDS) <= {"masked", "causal"}
    assert probe.KINDS
    assert dataclasses.is_dataclass(probe.Cell)
    assert probe.Cell.__dataclass_params__.frozen
    for kind in catalog.observations_of(probe):
        names = columns.names(kind.columns)
        assert len(set(names)) == len(names), "no column twice, none that is a coordinate"
        assert not kind.name or re.fullmatch(r"[a-z][a-z-]*", kind.name)
        assert bool(kind.name) == bool(kind.meaning)
    kinds = catalog.observations_of(probe)
    assert len({kind.name for kind in kinds}) == len(kinds) != 0
    declared = {(c.name, c.type, c.unit) for kind in kinds for c in kind.columns}
    assert len(declared) == len(catalog.columns(name)), "a name is of one type and unit"
    for parameter in inspect.signature(probe.plan).parameters.values():
        assert parameter.kind is parameter.KEYWORD_ONLY
        assert parameter.default is not parameter.empty
    hints = typing.get_type_hints(probe.plan, include_extras=True)
    assert all(typing.get_origin(hints[n]) is typing.Annotated for n in hints if n != "return")
    assert len(plan_options(probe.plan)) == len(hints) - 1
    assert callable(probe.refuse)
    options = {n: p.default for n, p in inspect.signature(probe.plan).parameters.items()}
    assert all(isinstance(v, str) and v for v in probe.sources(**options).values())
    assert list(inspect.signature(probe.measure).parameters) == ["engine", "cells"]


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_holds_no_files_devices_or_batches(name):
    source = PACKAGE / "probes" / name / "probe.py"
    tree = ast.parse(source.read_text())
    called = {ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    assert not called & {"open", "print", "Path", "torch.device"}
    assert len(source.read_text().splitlines()) <= 160


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_is_tested_on_a_reader_of_known_answers(name):
    """An ideal reader can't show what is exchanged or ignored; see `planted`."""
    path = probe_cases.HERE / name / f"test_{name}_planted_reader.py"
    source = path.read_text()
    assert "planted.measured" in source
    assert "report.tables" in source
