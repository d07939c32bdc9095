"""Every file of tuning/ but the trainer is an objective, found by listing."""

import ast
import inspect
from pathlib import Path

import pytest

from mdlm_probe.core.files import PACKAGE

HERE = Path(__file__).parent
FILES = {path.stem: path for path in (PACKAGE / "tuning").glob("[!_]*.py")}
OBJECTIVES = sorted(FILES.keys() - {"trainer"})


def test_there_are_objectives_and_the_trainer_knows_none():
    assert {"causal", "masked"} <= set(OBJECTIVES)
    trainer = ast.parse(FILES["trainer"].read_text())
    imported = {n.module for n in ast.walk(trainer) if isinstance(n, ast.ImportFrom)}
    assert not {f"mdlm_probe.tuning.{name}" for name in OBJECTIVES} & imported


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_is_a_loss_of_logits_with_a_source(name):
    module = __import__(f"mdlm_probe.tuning.{name}", fromlist=["loss"])
    assert " objective: " in module.__doc__.splitlines()[0]
    assert next(iter(inspect.signature(module.loss).parameters)) == "logits"
    assert "Source: " in FILES[name].read_text()
    assert "in nats" in module.loss.__doc__.splitlines()[0]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_is_tested(name):
    tests = [path for path in HERE.glob("test_*.py") if path != Path(__file__)]
    assert any(f"{name}.loss(" in path.read_text() for path in tests)
