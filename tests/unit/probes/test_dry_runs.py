"""Every probe measures on a dry run as on a network: no probe asks which it is."""

import ast
import inspect

import pytest
from planted import by_kind

from mdlm_probe import models
from mdlm_probe.core import catalog
from mdlm_probe.core.files import PACKAGE
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.runs.plan import Job, prepare
from mdlm_probe.runs.rough_border import RoughBorder

PROBES = catalog.names("probe")
SMALL = {"lexicon": "small", "limit": 1, "length": 32, "masks": 4, "ar_sample": 4}
"""Taken by whatever probe has such an option, of this type."""


def planned(name, model, **given):
    """A plan of few cells; None where the probe isn't for such a model."""
    probe = catalog.load("probe", name)
    known = inspect.signature(probe.plan).parameters
    options = {
        option: value
        for option, value in (SMALL | given).items()
        if option in known and isinstance(value, type(known[option].default))
    }
    if models.resolve(model).kind in probe.KINDS:
        return prepare(Job(name, model, options))
    return None


@pytest.mark.parametrize("model", ["tiny-mdlm", "tiny-arlm", "llada-8b", "llama3-8b"])
@pytest.mark.parametrize("name", PROBES)
@pytest.mark.slow
def test_every_cell_has_rows_of_the_columns_declared(name, model):
    """With a tokenizer and without one."""
    tiny = model.startswith("tiny")
    plan = planned(name, model, lexicon="small" if tiny else "full")
    if plan is None:
        return
    border = models.load_border(plan.entry) if tiny else RoughBorder(plan.entry)
    counter = DryRun(border.entry, border)
    cells = plan.cells[:: max(1, len(plan.cells) // 20)]
    measured = plan.probe.measure(counter, cells)
    found = [next(measured)]
    asked = len(counter.lengths)
    found += measured
    assert len(counter.lengths) == asked  # a dry run ends with the first cell's rows
    assert [cell for cell, _ in found] == cells
    assert all(any(by_kind(rows).values()) for _, rows in found)
    kinds = catalog.observations_of(plan.probe)
    for kind, columns in zip(kinds, plan.files.values(), strict=True):
        own = [row for _, rows in found for row in by_kind(rows).get(kind.name, ())]
        assert {column for row in own for column in row} <= {c.name for c in kind.columns}
        held = {name for row in own for name, value in row.items() if value is not None}
        assert held <= set(columns), "what isn't written has nothing to hold"
    assert counter.lengths


MEASURING = [
    *PACKAGE.glob("decoding/*.py"),
    *PACKAGE.glob("likelihood/*.py"),
    *PACKAGE.glob("harness/*.py"),
    *PACKAGE.glob("probes/**/*.py"),
]


def questions(tree: ast.AST) -> list[str]:
    """Where code asks what it talks to: by its type, its name, or by what it has."""
    nodes = list(ast.walk(tree))
    names = [node.id for node in nodes if isinstance(node, ast.Name)]
    names += [node.name for node in nodes if isinstance(node, ast.alias)]
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    asked = [ast.unparse(c) for c in calls if ast.unparse(c.func) in ("hasattr", "isinstance")]
    return [name for name in names if name == "DryRun"] + [c for c in asked if "engine" in c]


def test_nothing_asks_whether_it_talks_to_a_network():
    asked = {path: questions(ast.parse(path.read_text())) for path in MEASURING}
    assert {path: found for path, found in asked.items() if found} == {}
    assert len(asked) > 100


def test_the_check_sees_questions():
    code = "from a import DryRun\nhasattr(engine, 'x') or isinstance(self.engine, DryRun)"
    assert sorted(questions(ast.parse(code))) == [
        *("DryRun", "DryRun", "hasattr(engine, 'x')", "isinstance(self.engine, DryRun)")
    ]
