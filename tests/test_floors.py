"""A module imports only from lower floors: never sideways, never up."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "mdlm_probe"
FLOORS = {
    "errors": 0,
    "cells": 0,
    "documents": 0.5,
    "noise": 0.5,
    "catalog": 1,
    "quality": 1,
    "maths": 1,
    "stats": 1,
    "sink": 1,
    "tasks": 1,
    "grammar": 1,
    "queries": 1,
    "zipf": 1,
    "machine": 1,
    "models": 2,
    "gradients": 2.5,
    "memory": 2.7,
    "batches": 2.8,
    "engine": 3,
    "few_shot": 3,
    "scores": 3.5,
    "needles": 2,
    "texts": 2,
    "pairs": 2,
    "unigrams": 2.5,
    "spans": 3,
    "haystack": 3,
    "fillers": 3,
    "estimate": 3,
    "draws": 1,
    "lm_documents": 1.5,
    "lm_tasks": 2,
    "lm_choices": 2.5,
    "evaluation": 5.5,
    "likelihood": 4.5,
    "schedules": 3.5,
    "canvases": 3.5,
    "decoding": 4.2,
    "readings": 4.3,
    "interventions": 4.4,
    "answers": 4.4,
    "continuations": 4,
    "marginals": 4.5,
    "courses": 4,
    "chains": 4.3,
    "couplings": 4.6,
    "scorers": 5,
    "displacement": 4.6,
    "reuse": 4.6,
    "survey": 5,
    "probes": 5,
    "tuning": 5,
    "reports": 5,
    "runner": 6,
    "examples": 6,
    "comparison": 6,
    "exports": 6.5,
    "pages": 6.5,
    "studies": 6.7,
    "generate": 6.5,
    "arena": 6,
    "harness": 6.5,
    "judges": 6.5,
    "cli": 7,
}
ROOMS = (
    *("cli", "evaluation", "examples", "exports", "judges", "models", "pages", "probes"),
    *("tuning", "reports"),
)
FILES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")


def imported(path: Path) -> set[str]:
    """Modules of the project that a file imports, wherever in it; typing alone doesn't count."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for child in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "mdlm_probe":
            found |= {f"mdlm_probe.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mdlm_probe."):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name.startswith("mdlm_probe.")}
    return found - {"mdlm_probe.__version__"}


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path):
    here = room(path)
    assert here in FLOORS, f"{here} has no floor: give it one here and in the README's file map"
    for name in imported(path):
        parts = name.split(".")
        there = parts[1]
        if there != here:
            assert FLOORS[there] < FLOORS[here], f"{path.name} imports {name}"
        else:
            assert here in ROOMS, f"{path.name} imports its own module {name}"


def test_the_check_sees_a_wrong_import(tmp_path):
    path = tmp_path / "wrong.py"
    path.write_text("def f():\n    from mdlm_probe.cli import main\n")
    assert imported(path) == {"mdlm_probe.cli.main"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_click_and_rich_live_in_cli_only(path):
    if room(path) == "cli":
        return
    names = {
        alias.name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        (node.module or "").split(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
    }
    assert not names & {"click", "rich"}
    if room(path) == "reports":
        assert "torch" not in names
