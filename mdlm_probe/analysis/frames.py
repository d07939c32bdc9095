"""Run folders as frames, and tables as files."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
from pyarrow import csv as pa_csv

from mdlm_probe.analysis import impossible_values
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import RUN, damaged, probe_of, read_run

pa.enable_signal_handlers(False)  # its own drop a Ctrl-C that comes when a file is read to its end

Tables = dict[str, pd.DataFrame]
"""A report's tables by name: what its charts are drawn from."""


PROMPT_COLUMNS = ["prompts", "lexicon", "prompt"]
"""Those that name a prompt in the rows of probes that ask prompts."""

BLOCK = 2**20
"""Bytes that are parsed at a time at least: no row lies in two blocks."""


class RunFrames(NamedTuple):
    """The rows of a run folder.

    Attributes:
        rows: by probe, all its models together.
        notes: on what is unfinished, damaged, or not as its run left it.
        entries: of run.json, but for the measurements that are left out because they are damaged.
    """

    rows: dict[str, pd.DataFrame]
    notes: list[str]
    entries: dict[str, dict[str, Any]]


def frames(folder: Path) -> RunFrames:
    """The rows of a run folder; a measurement that is damaged is left out, and noted.

    Raises:
        ProbeError: no such folder, no run in it, no rows, or nothing but damaged ones.
    """
    entries = read_run(folder) if folder.is_dir() else {}
    broken = damaged(folder) if folder.is_dir() else {}
    if not entries and not broken:
        raise ProbeError(
            f"no run in {folder}",
            expected="a folder with a run.json, as `mdlm-probe PROBE --output FOLDER` writes it",
        )
    found: dict[str, list[pd.DataFrame]] = {}
    notes: list[str] = []
    changed: list[str] = []
    unreadable: list[ProbeError] = []
    for name, wrong in broken.items():
        unreadable.append(ProbeError(f"{folder / RUN} is damaged: of '{name}', {wrong}"))
        notes.append(f"{name} is left out: {RUN} is damaged: {wrong}")
    for name, entry in list(entries.items()):
        path = folder / f"{name}.csv"
        changed += _changed(name, path, entry)
        if not path.exists():  # it stopped before its first row
            continue
        try:
            frame = _sound(path, probe_of(name, entry))
        except ProbeError as error:
            unreadable.append(error)
            notes.append(f"{name} is left out: {error.found}")
            del entries[name]
            continue
        if entry.get("status") != "finished":
            state = f"{len(frame)} rows, {entry.get('cells', '?')} cells planned"
            notes.append(f"{name} is unfinished ({state}): its means may be over different items")
        if len(frame):
            found.setdefault(probe_of(name, entry), []).append(frame)
    if not found and unreadable:
        raise unreadable[0]
    if not found:
        state = f"any more: {'; '.join(changed)}" if changed else "yet"
        hint = "run it again, then report" if changed else "let the run finish, then report"
        raise ProbeError(f"{folder} holds no rows {state}", hint=hint)
    whole = {probe: pd.concat(parts, ignore_index=True) for probe, parts in found.items()}
    return RunFrames(whole, [*changed, *notes], entries)


def _sound(path: Path, probe: str) -> pd.DataFrame:
    """The rows of a measurement.

    Raises:
        ProbeError: a file that can't be read, or that holds what nothing measures.
    """
    rows = read_values(path, catalog.columns_of_type(probe, str))
    if wrong := impossible_values.fault(probe, rows):
        raise ProbeError(
            f"{path} is damaged: {wrong}", hint="the same command with --fresh measures anew"
        )
    return rows


def _changed(name: str, path: Path, entry: dict[str, Any]) -> list[str]:
    """A note where a finished CSV isn't as large as run.json says, or is gone."""
    size = entry.get("size") if entry.get("status") == "finished" else None
    found = path.stat().st_size if path.exists() else None
    if size is None or size == found:
        return []
    state = "there is no CSV" if found is None else f"its CSV has {found} bytes"
    return [f"{name} has rows that were changed or are missing: {state}, {size} when it finished"]


def read_values(path: Path, texts: Collection[str] = ()) -> pd.DataFrame:
    """The rows of a CSV as values: what looks like a number in all of a column is one.

    Args:
        path: the CSV.
        texts: columns that hold texts, whatever they look like.

    Raises:
        ProbeError: a file that can't be read.
    """
    kinds = dict.fromkeys(texts, str)
    with _readable(path) as lines:
        return pd.read_csv(io.BytesIO(lines), keep_default_na=False, na_values=[""], dtype=kinds)


def read_texts(path: Path) -> pa.Table:
    """The rows of a CSV as the text that stands in it, escapes and all; null for nothing.

    Raises:
        ProbeError: a file that can't be read, or lines of several lengths.
    """
    with _readable(path) as lines:
        heads = lines[: lines.find(b"\n")].decode().split(",")
        return pa_csv.read_csv(
            pa.BufferReader(lines),
            read_options=pa_csv.ReadOptions(block_size=max(BLOCK, len(lines))),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(heads, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )


def grouped(
    frame: pd.DataFrame, names: Sequence[str]
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The rows of each group, with its coordinates by name, in order of appearance."""
    for key, part in frame.groupby(list(names), observed=True, sort=False):
        yield dict(zip(names, key, strict=True)), part


def by_value(frame: pd.DataFrame, name: str) -> Iterator[tuple[Any, pd.DataFrame]]:
    """The rows of each value of a column, the smallest first."""
    yield from frame.groupby(name, observed=True)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame's rows, each as values by column."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


@contextmanager
def _readable(path: Path) -> Iterator[bytes]:
    """The whole lines of a CSV: its last one may be half written."""
    try:
        data = path.read_bytes()
        yield data[: data.rfind(b"\n") + 1]
    except (OSError, ValueError) as error:
        raise ProbeError(
            f"cannot read {path}: {error}", hint="the same command with --fresh measures anew"
        ) from None


def save(folder: Path, name: str, tables: Tables) -> list[Path]:
    """Writes a NAME-TABLE.csv for each table; returns the paths.

    Raises:
        ProbeError: the folder can't be written.
    """
    paths: list[Path] = []
    try:
        for title, table in tables.items():
            paths.append(folder / f"{name}-{title}.csv")
            table.to_csv(paths[-1], index=False, float_format="%.6g")
    except OSError as error:
        raise ProbeError(f"cannot write {paths[-1]}: {error}") from None
    return paths
