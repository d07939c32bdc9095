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
MAY_BE = {"MASK_ID", "MASK_TEXT", "BLOCK", "ORIGIN", "CHAT_OPTIONS"}


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
