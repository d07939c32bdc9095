"""Checkpoints in a folder of folders: those of a training, say."""

from __future__ import annotations

import re
from pathlib import Path

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._training_step import step_folders

DEEPEST = 3
"""Folders within each other that are looked through."""


def checkpoints(*folders: Path) -> list[str]:
    """The checkpoints below folders as NAME=PATH, named after the folders that they are in.

    `step-900` comes before `step-1000`. Of a checkpoint's own subfolders, those named after
    training steps are taken, too. With several folders, names begin with theirs.

    Raises:
        ProbeError: there is none in a folder, or two would have the same name.
    """
    named = {path: name for one in folders for path, name in _named(one, len(folders) > 1)}
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


def _named(folder: Path, several: bool) -> list[tuple[Path, str]]:
    """The checkpoints below a folder with their names."""
    found = _below(folder, DEEPEST)
    if not found:
        raise ProbeError(
            f"no checkpoint in {folder}" if folder.is_dir() else f"no folder {folder}",
            expected=f"folders with a config.json, at most {DEEPEST} deep",
            option="models",
        )
    before = Path(folder.resolve().name if several else "")
    return [(path, _name(before / path.relative_to(folder))) for path in found]


def _below(folder: Path, depth: int) -> list[Path]:
    if not folder.is_dir() or not depth:
        return []
    inner = sorted((p for p in folder.iterdir() if p.is_dir()), key=lambda p: _natural(p.name))
    found = []
    for path in inner:
        if path.name.startswith("."):
            continue
        if not (path / "config.json").is_file():
            found += _below(path, depth - 1)
            continue
        inner = [own for own in step_folders(path) if (own / "config.json").is_file()]
        found += [*sorted(inner, key=lambda own: _natural(own.name)), path]
    return found


def _natural(name: str) -> list[tuple[int, str]]:
    """What names are sorted by: numbers in them by their value."""
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


def _name(path: Path) -> str:
    return re.sub(r"[^\w.+-]+", "-", "-".join(path.parts)).strip("-")
