"""Objectives are found by listing; the bundled models' own two are files of their training."""

import ast
import importlib
import inspect
import re
import sys
import types
from pathlib import Path

import pytest
from corrupted import MASK, TOKENS, logits_for, moment, sample

from mdlm_probe.core import catalog, contract
from mdlm_probe.core.files import PACKAGE

BUNDLED_TESTS = Path(__file__).parents[1] / "training"
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
    module = importlib.import_module(f"training._bundled_{name}")
    assert " objective: " in module.__doc__.splitlines()[0]
    assert next(iter(inspect.signature(module.loss).parameters)) == "logits"
    assert "in nats" in module.loss.__doc__.splitlines()[0]
    assert any(f"{name}.loss(" in path.read_text() for path in BUNDLED_TESTS.glob("test_*.py"))


def test_the_objective_of_the_docs(monkeypatch):
    page = (PACKAGE.parent / "docs" / "tuning.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    module = types.ModuleType("suffix", ast.get_docstring(ast.parse(code)))
    monkeypatch.setitem(sys.modules, "suffix", module)  # dataclasses look there
    exec(compile(code, "suffix.py", "exec", dont_inherit=True), vars(module))
    contract.check("objective", "suffix", module)
    made, one = module.plan(share=0.5), sample(prompt=3, answer=6)
    item = made.corrupt(one, TOKENS, moment())
    assert item.rows[0].tolist() == [*one.prompt, *one.answer[:3], MASK, MASK, MASK]
    logits = logits_for(item)
    logp = logits[0].log_softmax(-1)
    by_hand = -sum(logp[n, token].item() for n, token in enumerate(one.answer[3:])) / 3
    assert made.loss(logits, item)["loss"].item() == pytest.approx(by_hand)
