"""No list outside a probe's folder grows with a probe: its name stands nowhere else in the code."""

import ast
import re

import pytest

from mdlm_probe.core import catalog
from mdlm_probe.core.files import PACKAGE

NAMES = catalog.names("probe")
FILES = [
    path for path in sorted(PACKAGE.rglob("*.py")) if not path.is_relative_to(PACKAGE / "probes")
]
HELP = "an example in a help text"
OPTION = "an option or a column that is called so, too"
FAMILY = "what a family's file says of its logits"
KIND = "a column: the kind of a model's attention"
PROMPTS = "the folder of prompts that is called so, too"
CONTEXT = "how many tokens a model reads, or an option"
ALLOWED = {
    ("analysis/examples/answers.py", "canvas"): OPTION,
    ("analysis/examples/parts.py", "canvas"): "a kind of part of an example",
    ("cli/commands/__init__.py", "locality"): "where the help says to begin",
    ("cli/commands/judge.py", "shift"): HELP,
    ("cli/commands/models.py", "attention"): KIND,
    ("cli/commands/models.py", "context"): CONTEXT,
    ("cli/commands/plan.py", "locality"): HELP,
    ("core/run_shape.py", "context"): CONTEXT,
    ("core/shared_columns.py", "canvas"): OPTION,
    ("decoding/coordinates.py", "masks"): "a unit",
    ("decoding/schedule.py", "cache"): OPTION,
    ("harness/answer_log.py", "attention"): "a fact of run.json",
    ("harness/answer_log.py", "context"): CONTEXT,
    ("harness/text_generation.py", "cache"): OPTION,
    ("models/_load.py", "attention"): "a fact of run.json",
    ("models/_load.py", "context"): CONTEXT,
    ("models/_load.py", "shift"): FAMILY,
    ("models/_registry.py", "shift"): FAMILY,
    ("prompts/few_shot_sets.py", "masks"): "an argument",
    ("prompts/texts.py", "context"): CONTEXT,
    ("prompts/texts.py", "decay"): PROMPTS,
    ("reports/masks_used.py", "masks"): OPTION,
    ("runs/judges/answer_pairs.py", "cache"): OPTION,
    ("runs/judges/answer_pairs.py", "decay"): PROMPTS,
    ("runs/judges/headlines.py", "shift"): "an intervention",
    ("runs/survey.py", "cache"): OPTION,
    ("tuning/choice.py", "context"): CONTEXT,
    ("tuning/recipe.py", "context"): CONTEXT,
}
"""Where a probe's name stands outside its folder, and why."""


def named(tree: ast.AST) -> set[str]:
    """Names of probes that code holds: as texts, in commands within texts, as imports."""
    words = "|".join(NAMES)
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= {node.value} & set(NAMES)
            found |= set(re.findall(rf"(?:mdlm-probe (?:plan )?|`)({words})\b", node.value))
        if isinstance(node, ast.ImportFrom):
            found |= set(re.findall(rf"^mdlm_probe\.probes\.({words})\b", node.module or ""))
    return found


def test_no_code_outside_probes_names_one():
    found = {
        (str(path.relative_to(PACKAGE)), name)
        for path in FILES
        for name in named(ast.parse(path.read_text()))
    }
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    "code",
    [
        'UNITS = {"shift": {}}',
        'hint = "`mdlm-probe needle --limit 5` measures it"',
        "from mdlm_probe.probes.masks.report import tables",
        'def f(probe):\n    return probe == "joint"',
    ],
)
def test_the_check_sees_a_name(code):
    assert len(named(ast.parse(code))) == 1


def test_the_registry_names_probes_for_their_defaults_alone():
    """They are by probe, and run.json holds them as they are: the one list that stays."""
    lines = (PACKAGE / "models" / "registry.yaml").read_text().splitlines()
    holding = [line for line in lines if re.search(rf"\b({'|'.join(NAMES)}):", line)]
    assert all(line.lstrip().startswith(("defaults:", "shift:", "context:")) for line in holding), (
        holding
    )
