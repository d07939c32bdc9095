"""Exports: a run's rows, tables and figures for other tools; one file a format.

The file name is the registration. A format that makes files has `files(runs, wish)`, which returns
contents by path; one that tracks runs elsewhere has `send(runs, wish)`, which returns what to tell
the user. Equal input gives equal files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mdlm_probe import catalog, reports
from mdlm_probe.errors import ProbeError
from mdlm_probe.exports._base import Run, Wish
from mdlm_probe.sink import read_run, run_folders, unusable
from mdlm_probe.sink import replace as write_small

__all__ = ["Run", "Wish", "export", "formats", "load"]
OWN = "export.json"
"""Which files of an export's folder are the export's own, with the hash of each."""


def formats() -> list[str]:
    """The names that `export` knows."""
    return catalog.names("exports")


def export(folder: Path, to: Sequence[str], wish: Wish, probes: Sequence[str] = ()) -> list[str]:
    """Exports a run's or a study's folder; returns what to tell the user, a line each.

    Args:
        folder: of a run or of a study.
        to: formats.
        wish: what of it, and where to.
        probes: those to export; none: all.

    Raises:
        ProbeError: no run, no such format or probe, a file that isn't ours, a missing package, or a
            service that can't be reached.
    """
    modules = [catalog.load("exports", name) for name in dict.fromkeys(to)]
    runs, said = load(folder, probes)
    made: dict[str, bytes] = {}
    for module in modules:
        if hasattr(module, "files"):
            made |= module.files(runs, wish)
    if made:
        said += [f"wrote {path}" for path in _write(wish.folder, made)]
    for module in modules:
        if hasattr(module, "send"):
            said += module.send(runs, wish)
    return said


def load(folder: Path, probes: Sequence[str] = ()) -> tuple[list[Run], list[str]]:
    """The runs of a folder, and what a reader should know: what is unfinished or left out.

    Raises:
        ProbeError: there is none with rows, or none of these probes.
    """
    runs: list[Run] = []
    notes: list[str] = []
    failed: list[ProbeError] = []
    for name, path in run_folders(folder).items():
        try:
            made, found = reports.make(path)
        except ProbeError as error:
            failed.append(error)
            notes.append(f"{name} left out: {error.found}")
            continue
        notes += found
        runs.append(Run(name, path, read_run(path), made))
    if not runs:
        raise failed[0]
    known = list(dict.fromkeys(probe for run in runs for probe in run.made))
    for probe in probes:
        if probe not in known:
            raise catalog.unknown("probe of this run", probe, known)
    if probes:
        runs = [
            replace(run, made={probe: one for probe, one in run.made.items() if probe in probes})
            for run in runs
        ]
    return [run for run in runs if run.made], notes


def _write(folder: Path, made: dict[str, bytes]) -> list[Path]:
    """Writes files, all or none where one of them isn't ours; returns their paths."""
    own = _own(folder)
    for name in made:
        path = folder / name
        if path.exists() and name not in own:
            raise ProbeError(
                f"{path} is there, and no export wrote it",
                expected="a folder of exports alone, or none yet",
                hint="--output DIR writes elsewhere",
            )
    try:
        for name, content in made.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            own[name] = hashlib.sha256(content).hexdigest()
        write_small(folder / OWN, json.dumps(own, indent=2, sort_keys=True) + "\n")
    except OSError as error:
        raise unusable(folder, error) from error
    return [folder / name for name in made]


def _own(folder: Path) -> dict[str, str]:
    path = folder / OWN
    try:
        own = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise ProbeError(
            f"cannot read {path}: {error}", hint="--output DIR writes elsewhere"
        ) from None
    if not isinstance(own, dict):
        raise ProbeError(f"{path} is no list of exports", hint="--output DIR writes elsewhere")
    return own
