"""Every family is one file of models/, found by listing: it has an entry, tests, and no stray name.

What a family must declare is tested in test_families.py.
"""

import ast
from pathlib import Path

import pytest

from mdlm_probe import models
from mdlm_probe.core.files import PACKAGE
from mdlm_probe.models import _families

HERE = Path(__file__).parent
DECLARED = {"KIND", "MODEL_TYPES", "NATIVE", "SHIFT", "KEYS"}
MAY_BE = set(_families.DEFAULTS)


def stray(tree: ast.Module) -> set[str]:
    """Constants of a family that neither the registry reads nor the family itself."""
    constants = {
        target.id
        for node in tree.body
        for target in getattr(node, "targets", [getattr(node, "target", None)])
        if isinstance(target, ast.Name) and target.id.isupper()
    }
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return constants - DECLARED - MAY_BE - {n.id for n in names if isinstance(n.ctx, ast.Load)}


def test_the_families_are_the_files():
    files = {p.stem for p in (PACKAGE / "models").glob("[!_]*.py")}
    assert set(models.families()) == files >= {"llada", "dream", "causal", "oracle"}


@pytest.mark.parametrize("name", models.families())
def test_a_family_has_an_entry_and_a_test_of_its_own(name):
    assert name in {entry.family for entry in models.entries()}
    assert (HERE / f"test_{name}.py").exists()


@pytest.mark.parametrize("name", models.families())
def test_a_family_has_no_constant_that_nobody_reads(name):
    path = Path(_families.family(name).__file__)
    assert stray(ast.parse(path.read_text())) == set()


def test_the_check_sees_a_misspelt_name():
    source = (PACKAGE / "models" / "dream.py").read_text()
    assert stray(ast.parse(source.replace("MODEL_TYPES =", "MODEL_TYPE ="))) == {"MODEL_TYPE"}


def documented():
    """Rows of the table of families in docs/checkpoints.md: family, classes, row, block."""
    page = (PACKAGE.parent / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    return [[cell.strip(" |`") for cell in row] for row in rows if len(row) >= 7]


@pytest.mark.parametrize("row", documented(), ids=lambda row: f"{row[0]}-{row[1]}")
def test_the_table_of_families_says_what_they_declare(row):
    family = _families.family(row[0])
    assert row[2] == "the same" or row[2].split(",")[0] in family.MODEL_TYPES.values()
    assert row[4] in ("all", "blocks")
    assert row[5] == ("before" if family.SHIFT else "own")
    if row[4] == "blocks":
        assert row[7] == str(family.BLOCK or "told")


def test_every_dense_family_is_in_the_table():
    assert {"llada", "illada", "dream", "a2d", "sdar", "dream_reasoner"} <= {
        row[0] for row in documented()
    }
