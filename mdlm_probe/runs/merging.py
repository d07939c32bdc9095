"""Merging: the run folders of all shards become the folder that the whole run would have written.

Source: ours.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import cycle, groupby, islice
from pathlib import Path
from typing import Any, BinaryIO

from mdlm_probe.core import catalog, columns
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import draft_of, unusable
from mdlm_probe.core.run_folder import (
    STUDY,
    RunFolder,
    differences,
    probe_of,
    read_run,
    read_study,
    run_folders,
    write_study,
)
from mdlm_probe.runs.shards import Shard
from mdlm_probe.runs.study_record import FINISHED

SAME = ("weight_hash", "dtype", "files", "quantize")
"""What must be equal of the models that shards were measured with."""

Entry = dict[str, Any]


def merge(folders: Sequence[Path], output: Path, note: Callable[[str], None]) -> None:
    """Merges shards of a run, or of a study, into a folder.

    Args:
        folders: one for each shard, in any order.
        output: the folder; what it holds of the same rows already stays.
        note: told what was merged.

    Raises:
        ProbeError: shards that are missing, not finished, or not of the same run.
    """
    found = {folder: run_folders(folder) for folder in folders}
    names = list(dict.fromkeys(name for runs in found.values() for name in runs))
    for name in names:
        lacking = [str(folder) for folder, runs in found.items() if name not in runs]
        if lacking:
            raise ProbeError(
                f"{', '.join(lacking)} has no run '{name}'" if name else f"{lacking[0]} is a study",
                expected="folders of the same run, or of the same study",
            )
        _merge_run([runs[name] for runs in found.values()], output / name, note)
    if names != [""]:
        _merge_studies([read_study(folder) for folder in folders], output)


def _merge_run(folders: Sequence[Path], output: Path, note: Callable[[str], None]) -> None:
    known = {folder: read_run(folder) for folder in folders}
    names = list(dict.fromkeys(name for entries in known.values() for name in entries))
    for name in names:
        with RunFolder.locked(output, name) as folder:
            shards = _shards(name, known)
            merged = _merged(name, shards)
            path = folder.path(name)
            entry = folder.begin(name, {"config": merged["config"]})
            if entry.get("status") == FINISHED and path.exists():
                note(f"{path} is there already")
                continue
            files = [at / path.name for at in shards]
            rows = _interleave(name, files, merged["batch"]["cells"], path)
            folder.update(name, **merged | {"size": path.stat().st_size})
            note(f"{path}: {rows} rows of {len(shards)} shards")


def _shards(name: str, known: Mapping[Path, dict[str, Entry]]) -> dict[Path, Entry]:
    """The entries of a measurement in run.json of all its shards, in their order.

    Raises:
        ProbeError: one is missing, stands there twice, or isn't finished.
    """
    found: dict[int, tuple[Path, Entry]] = {}
    count = 0
    for folder, entries in known.items():
        entry = entries.get(name, {})
        shard = entry.get("config", {}).get("shard")
        if shard is None:
            raise ProbeError(
                f"{folder} holds no shard of '{name}'", expected="runs made with --shard I/N"
            )
        if entry.get("status") != FINISHED or not (folder / f"{name}.csv").exists():
            raise ProbeError(
                f"shard {shard} of '{name}' in {folder} is not finished",
                hint="the same command, with its --shard and --output, resumes",
            )
        read = Shard.read(shard)
        index, count = read.index, read.count
        if index in found:
            raise ProbeError(f"shard {shard} of '{name}' is in {found[index][0]} and in {folder}")
        found[index] = folder, entry
    if missing := [f"{i}/{count}" for i in range(1, count + 1) if i not in found]:
        raise ProbeError(
            f"of '{name}', shards are missing: {', '.join(missing)}",
            expected=f"all {count} folders",
        )
    return dict(found[i] for i in sorted(found))


def _merged(name: str, shards: Mapping[Path, Entry]) -> Entry:
    """What run.json says of the whole.

    Raises:
        ProbeError: shards that differ in options, weights, or the size of their groups.
    """
    (first, one), *others = [(folder, _comparable(entry)) for folder, entry in shards.items()]
    for folder, other in others:
        if found := differences(one, other):
            raise ProbeError(
                f"'{name}' is not the same in {first} and {folder}:\n"
                + "\n".join(f"  {line}" for line in found),
                expected="shards of one run, on devices of one kind",
                hint="where `batch` differs, --batch-tokens N on every shard makes it one size",
            )
    entries = list(shards.values())
    whole, size = one["whole"], one["batch"]["cells"]
    for entry in entries:
        shard = Shard.read(entry["config"]["shard"])
        if entry["cells"] != shard.cells(whole, size):
            raise ProbeError(
                f"shard {shard} of '{name}' has {entry['cells']} cells",
                expected=f"{shard.cells(whole, size)} of {whole}, in groups of {size}",
                hint="run.json was changed by hand, or is of another version: measure it again",
            )
    merged = {k: v for k, v in entries[0].items() if k not in ("whole", "size")}
    merged |= {"config": one["config"], "cells": whole, "shards": len(entries)}
    merged["sessions"] = [session for entry in entries for session in entry.get("sessions", [])]
    merged["ended"] = max(entry["ended"] for entry in entries)
    events = [event for entry in entries for event in entry.get("events", [])]
    return merged | ({"events": events} if events else {})


def _comparable(entry: Entry) -> Entry:
    """What must be equal of all shards."""
    models = {role: entry[role] for role in ("model", "scorer") if role in entry}
    return {
        "config": {k: v for k, v in entry["config"].items() if k != "shard"},
        "batch": {k: v for k, v in entry["batch"].items() if k in ("tokens", "cells")},
        "whole": entry["whole"],
        "refused": entry.get("refused", {}),
        **{role: {n: facts.get(n) for n in SAME} for role, facts in models.items()},
    }


def _interleave(name: str, files: Sequence[Path], size: int, path: Path) -> int:
    """Writes the rows of all shards in the plan's order; returns how many.

    Args:
        name: of the measurement.
        files: the CSVs of the shards, in their order.
        size: cells of a group, which shards have in turn.
        path: the whole CSV; it is there at once or not at all.

    Raises:
        ProbeError: a file that can't be used, or one with other columns.
    """
    probe = catalog.load("probe", probe_of(name, {}))
    width = len(columns.coordinates(probe.Cell))
    rows, draft = 0, draft_of(path)
    try:
        with ExitStack() as stack:
            opened = [stack.enter_context(file.open("rb")) for file in files]
            out = stack.enter_context(draft.open("wb"))
            heads = {file.readline() for file in opened}
            if len(heads) > 1:
                raise ProbeError(f"the shards of '{name}' have different columns")
            out.write(heads.pop())
            cells = cycle([_cells(file, width) for file in opened])
            # groups are dealt out in turn: where one shard has no more, all groups were taken
            for group in iter(lambda: list(islice(next(cells), size)), []):
                for lines in group:
                    out.writelines(lines)
                    rows += len(lines)
        os.replace(draft, path)
    except OSError as error:
        raise unusable(path, error) from error
    return rows


def _cells(file: BinaryIO, width: int) -> Iterator[list[bytes]]:
    """The lines of one cell after another: those with the same coordinates."""

    def coordinates(line: bytes) -> list[str]:
        return next(csv.reader([line.decode()]))[1 : 1 + width]

    for _, lines in groupby(file, coordinates):
        yield list(lines)


def _merge_studies(studies: Sequence[Mapping[str, Any]], output: Path) -> None:
    """study.json of the whole: seconds are those of all shards together."""
    if not all(studies):
        return
    runs: dict[str, Any] = {}
    for name, run in studies[0]["runs"].items():
        every = [study.get("runs", {}).get(name, {}) for study in studies]
        seconds = round(sum(one.get("seconds", 0.0) for one in every), 1)
        runs[name] = run | {"seconds": seconds}
    if not (output / STUDY).exists():
        write_study(output, {**studies[0], "runs": runs})
