"""Checkpoints in a folder of folders: those of a training, say."""

from __future__ import annotations

import re
from pathlib import Path

from mdlm_probe.core.errors import ProbeError

DEEPEST = 3
"""Folders within each other that are looked through."""


def checkpoints(folder: Path) -> list[str]:
    """The checkpoints below a folder as NAME=PATH, named after the folders that they are in.

    `step-900` comes before `step-1000`. A checkpoint's own subfolders are not looked through.

    Raises:
        ProbeError: there is none, or two would have the same name.
    """
    found = _below(folder, DEEPEST)
    named = {path: _name(path.relative_to(folder)) for path in found}
    if not found:
        raise ProbeError(
            f"no checkpoint in {folder}",
            expected=f"folders with a config.json, at most {DEEPEST} deep",
            option="models",
        )
    names = list(named.values())
    for path, name in named.items():
        if names.count(name) > 1:
            raise ProbeError(
                f"{path} and another folder would both be called '{name}'",
                expected="folders of different names",
                hint="--model NAME=PATH names each",
                option="models",
            )
    return [f"{name}={path}" for path, name in named.items()]


def _below(folder: Path, depth: int) -> list[Path]:
    if not folder.is_dir() or not depth:
        return []
    inner = sorted((p for p in folder.iterdir() if p.is_dir()), key=lambda p: _natural(p.name))
    found = []
    for path in inner:
        if path.name.startswith("."):
            continue
        found += [path] if (path / "config.json").is_file() else _below(path, depth - 1)
    return found


def _natural(name: str) -> list[tuple[int, str]]:
    """What names are sorted by: numbers in them by their value."""
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


def _name(path: Path) -> str:
    return re.sub(r"[^\w.+-]+", "-", "-".join(path.parts)).strip("-")
