"""Objectives are found by listing; the bundled models' own two are files beside their trainer."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

from mdlm_probe.core import catalog
from mdlm_probe.core.files import PACKAGE

HERE = Path(__file__).parent
BUNDLED = ("causal", "masked")
OBJECTIVES = catalog.names("objective")


def test_the_five_objectives_are_found():
    assert OBJECTIVES == ["blockwise", "ctc", "jitter", "mask-agnostic", "sft"]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_makes_options_rows_and_a_loss(name):
    module = catalog.load("objective", name)
    assert " objective: " in module.__doc__.splitlines()[0]
    assert "arXiv" in module.__doc__
    made = module.plan()
    assert isinstance(made.needs_slack, bool)
    assert list(inspect.signature(made.corrupt).parameters) == ["sample", "tokens", "moment"]
    assert list(inspect.signature(made.loss).parameters) == ["logits", "item"]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_knows_no_trainer(name):
    path = PACKAGE / "tuning" / "objectives" / f"{name.replace('-', '_')}.py"
    modules = [
        n.module for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)
    ]
    assert not {"transformers", "peft", "accelerate"} & {str(m).split(".")[0] for m in modules}


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_models_objective_is_a_loss_of_logits_with_a_source(name):
    module = importlib.import_module(f"mdlm_probe.tuning.{name}")
    assert " objective: " in module.__doc__.splitlines()[0]
    assert next(iter(inspect.signature(module.loss).parameters)) == "logits"
    assert "in nats" in module.loss.__doc__.splitlines()[0]
    assert any(f"{name}.loss(" in path.read_text() for path in HERE.glob("test_*.py"))
