"""Merging: the run folders of all shards become the folder that the whole run would have written.

Source: ours.
"""

from __future__ import annotations

import csv
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle, groupby, islice
from pathlib import Path
from typing import Any

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
from mdlm_probe.core.seal import Seal, group_ends
from mdlm_probe.runs.runner import sizes
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
            path, *others = paths = [output / file for file in _csv_names(name).values()]
            entry = folder.begin(name, {"config": merged["config"]}, path, others)
            if entry.get("status") == FINISHED and all(file.exists() for file in paths):
                note(f"{path} is there already")
                continue
            rows = _whole_files(name, list(shards), merged["batch"]["cells"], paths)
            folder.update(name, **merged | sizes(probe_of(name, {}), name, output))
            note(f"{path}: {rows} rows of {len(shards)} shards")


def _csv_names(name: str) -> dict[str, str]:
    """The CSVs of a measurement by kind of observation, the main one first."""
    return catalog.csv_names(probe_of(name, {}), name)


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
        there = all((folder / file).exists() for file in _csv_names(name).values())
        if entry.get("status") != FINISHED or not there:
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
    merged = {k: v for k, v in entries[0].items() if k not in ("whole", "size", "sizes")}
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
        "run": entry.get("run"),
        **{role: {n: facts.get(n) for n in SAME} for role, facts in models.items()},
    }


def _whole_files(name: str, folders: Sequence[Path], size: int, paths: Sequence[Path]) -> int:
    """Writes the rows of all shards in the plan's order; returns how many.

    Args:
        name: of the measurement.
        folders: of the shards, in their order.
        size: cells of a group, which shards have in turn.
        paths: the whole CSVs, the main one first, which is written last; each is there at once or
            not at all.

    Raises:
        ProbeError: a file that can't be used, or one with other columns.
    """
    if len(paths) == 1:
        files = [folder / paths[0].name for folder in folders]
        return _interleave(name, files, [_by_cells(name, file, size) for file in files], paths[0])
    # which cells have no row in a file only the seals say
    seals = [group_ends(folder / paths[0].name) for folder in folders]
    rows = 0
    for place, path in reversed([*enumerate(paths)]):
        files = [folder / path.name for folder in folders]
        groups = [_by_ends(f, own, place) for f, own in zip(files, seals, strict=True)]
        rows += _interleave(name, files, groups, path)
    return rows


def _interleave(
    name: str, files: Sequence[Path], groups: Sequence[Iterator[bytes]], path: Path
) -> int:
    """Writes the groups of all shards in turn, under the heads that all of them have.

    Args:
        name: of the measurement.
        files: the CSVs of the shards.
        groups: their rows.
        path: the whole CSV; it is there at once or not at all.
    """
    rows, draft = 0, draft_of(path)
    try:
        with draft.open("wb") as out:
            heads = {_heads(file) for file in files}
            if len(heads) > 1:
                raise ProbeError(f"the shards of '{name}' have different columns")
            out.write(heads.pop())
            for turn in cycle(groups):
                group = next(turn, None)
                if group is None:  # where one shard has no more, all groups were taken
                    break
                out.write(group)
                rows += group.count(b"\n")
        os.replace(draft, path)
    except OSError as error:
        raise unusable(path, error) from error
    return rows


def _heads(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline()


def _by_ends(path: Path, seals: Sequence[Seal], place: int) -> Iterator[bytes]:
    """The rows of one group after another, by where the seals say that they end.

    Args:
        path: of a shard's CSV.
        seals: of its groups.
        place: of the file among those of the measurement.

    Raises:
        ProbeError: a file that isn't as it was sealed.
    """
    start = seals[0].marks[place]
    with path.open("rb") as file:
        total = zlib.crc32(file.read(start.end))
        for seal in seals[1:]:
            mark = seal.marks[place]
            data = file.read(mark.end - start.end)
            total = zlib.crc32(data, total)
            if total != mark.sum:
                raise ProbeError(
                    f"{path} was changed after its shard was finished",
                    expected="rows as the shard's run left them",
                    hint="measure the shard again",
                )
            yield data
            start = mark


def _by_cells(name: str, path: Path, size: int) -> Iterator[bytes]:
    """The rows of one group of cells after another, by the cells' coordinates."""
    width = len(columns.coordinates(catalog.load("probe", probe_of(name, {})).Cell))

    def coordinates(line: bytes) -> list[str]:
        return next(csv.reader([line.decode()]))[1 : 1 + width]

    with path.open("rb") as file:
        file.readline()
        cells = (b"".join(lines) for _, lines in groupby(file, coordinates))
        yield from iter(lambda: b"".join(islice(cells, size)), b"")


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
