"""Where the files are that ship with the tool: suites, studies, and lists beside checkpoints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import PACKAGE

UNIGRAMS = "unigrams.txt"
"""A checkpoint folder's own counts: a list of what it was trained on."""


def folder() -> Path:
    """The tasks/ folder: inside the installed package, or at the top of a source checkout."""
    packaged = PACKAGE / "_data" / "tasks"
    return packaged if packaged.is_dir() else PACKAGE.parent / "tasks"


def path_of(name: str, what: str = "suite", shipped: Sequence[str] = ()) -> Path:
    """The file of a suite, or of something else: a name in tasks/, or a path to a user's own YAML.

    Args:
        name: what the user gave.
        what: what it should be, for the error.
        shipped: what there is; default: the suites.

    Raises:
        ProbeError: there is none of that name.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return Path(name)
    path = folder() / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(shipped or suites())
        raise ProbeError(f"no {what} named '{name}'", expected=known, hint="or give a .yaml path")
    return path


def suites() -> list[str]:
    """Names of the suites that ship with the tool."""
    return _shipped(r"^(relevant|like):")


def studies() -> list[str]:
    """Names of the studies that ship with the tool."""
    return _shipped(r"^runs:")


def about(study: str) -> str:
    """What a shipped study is: the first sentence of its file."""
    lines = (folder() / f"{study}.yaml").read_text("utf-8").splitlines()
    text = " ".join(line.lstrip("# ") for line in takewhile(lambda line: line[:1] == "#", lines))
    return text.partition(". ")[0].rstrip(".")


def tuning_data() -> list[str]:
    """Names of the files to tune on that ship with the tool, of the small language."""
    return sorted(path.stem for path in (folder() / "tuning").glob("*.jsonl"))


def _shipped(field: str) -> list[str]:
    """Names of the files of tasks/ that have such a field."""
    found = re.compile(field, re.MULTILINE)
    return sorted(p.stem for p in folder().glob("*.yaml") if found.search(p.read_text("utf-8")))
