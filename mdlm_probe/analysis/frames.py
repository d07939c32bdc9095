"""Run folders as frames, and tables as files."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pa_csv

from mdlm_probe.analysis import impossible_values
from mdlm_probe.analysis.observed import Observed, count
from mdlm_probe.core import catalog
from mdlm_probe.core.columns import Column, names
from mdlm_probe.core.contract import value
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import RUN, damaged, probe_of, read_run
from mdlm_probe.core.whole_lines import WholeLines

pa.enable_signal_handlers(False)  # its own drop a Ctrl-C that comes when a file is read to its end

Tables = dict[str, pd.DataFrame]
"""A report's tables by name: what its charts are drawn from."""


PROMPT_COLUMNS = ["prompts", "lexicon", "prompt"]
"""Those that name a prompt in the rows of probes that ask prompts."""

BLOCK = 2**20
"""Bytes that are parsed at a time at least: no row lies in two blocks."""


@contextmanager
def light_texts() -> Iterator[None]:
    """Texts in frames that are made meanwhile are pointers, also as a decorator.

    Reports cut rows into hundreds of small groups, and of pointers that takes a fraction of the
    time that it takes of Arrow's bytes, which pandas has else. No value is another for it.
    """
    with pd.option_context("mode.string_storage", "python"):
        yield


class RunFrames(NamedTuple):
    """The rows of a run folder.

    Attributes:
        rows: by probe, all its models together; of a probe with several kinds of observation by
            kind, the main one first, each there though it may be empty.
        notes: on what is unfinished, damaged, or not as its run left it.
        entries: of run.json, but for the measurements that are left out because they are damaged.
    """

    rows: dict[str, Observed]
    notes: list[str]
    entries: dict[str, dict[str, Any]]


@light_texts()
def frames(folder: Path, *, whole: bool = True) -> RunFrames:
    """The rows of a run folder; a measurement that is damaged is left out, and noted.

    Args:
        folder: of the run.
        whole: whether columns that reports make nothing of are read, too.

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
    found: dict[str, list[dict[str, pd.DataFrame]]] = {}
    notes: list[str] = []
    changed: list[str] = []
    unreadable: list[ProbeError] = []
    for name, wrong in broken.items():
        unreadable.append(ProbeError(f"{folder / RUN} is damaged: of '{name}', {wrong}"))
        notes.append(f"{name} is left out: {RUN} is damaged: {wrong}")
    for name, entry in list(entries.items()):
        probe = probe_of(name, entry)
        paths = {kind: folder / file for kind, file in catalog.csv_names(probe, name).items()}
        changed += _changed(name, paths, entry)
        if not any(path.exists() for path in paths.values()):  # it stopped before its first row
            continue
        try:
            own = {
                kind: pd.DataFrame(columns=list(names(_declared(probe, kind))))
                if _is_newer(kind, paths, entry)
                else _sound(path, probe, kind, whole)
                for kind, path in paths.items()
            }
        except ProbeError as error:
            unreadable.append(error)
            notes.append(f"{name} is left out: {error.found}")
            del entries[name]
            continue
        if entry.get("status") != "finished":
            state = f"{count(own)} rows, {entry.get('cells', '?')} cells planned"
            notes.append(f"{name} is unfinished ({state}): its means may be over different items")
        if count(own):
            found.setdefault(probe, []).append(own)
    if not found and unreadable:
        raise unreadable[0]
    if not found:
        state = f"any more: {'; '.join(changed)}" if changed else "yet"
        hint = "run it again, then report" if changed else "let the run finish, then report"
        raise ProbeError(f"{folder} holds no rows {state}", hint=hint)
    rows = {probe: _together(found.pop(probe)) for probe in list(found)}
    return RunFrames(rows, [*changed, *notes], entries)


def _together(models: list[dict[str, pd.DataFrame]]) -> Observed:
    """The rows of all models of a probe: by kind where there are several."""
    rows: dict[str, pd.DataFrame] = {}
    for kind in list(models[0]):
        every = [own.pop(kind) for own in models]
        rows[kind] = pd.concat([f for f in every if len(f)] or every[:1], ignore_index=True)
    return rows if len(rows) > 1 else next(iter(rows.values()))


def _is_newer(kind: str, paths: dict[str, Path], entry: dict[str, Any]) -> bool:
    """Whether a run finished before its probe had such a kind of rows."""
    main = next(iter(paths))
    known = entry.get("status") != "finished" or kind in (main, *entry.get("sizes", {}))
    return not known and not paths[kind].exists()


def _sound(path: Path, probe: str, kind: str, whole: bool) -> pd.DataFrame:
    """The rows of one kind of a measurement.

    Raises:
        ProbeError: a file that can't be read, or that holds what nothing measures.
    """
    unread = () if whole else _unread(probe)
    rows = read_values(path, catalog.columns_of_type(probe, str), unread)
    _check_columns(path, probe, kind, list(map(str, rows.columns)))
    if wrong := impossible_values.fault(probe, rows, kind):
        raise ProbeError(
            f"{path} is damaged: {wrong}", hint="the same command with --fresh measures anew"
        )
    return rows.assign(**dict.fromkeys(_lacking(probe, kind, rows, unread), np.nan))


def _check_columns(path: Path, probe: str, kind: str, found: Sequence[str]) -> None:
    """Refuses rows of another version, which have columns that nobody declares.

    Raises:
        ProbeError: naming them.
    """
    known = names(_declared(probe, kind))
    if known and (old := [name for name in found if name not in known]):
        raise ProbeError(
            f"{path} has columns of another version: {', '.join(old)}",
            expected=f"those that `mdlm-probe columns {probe}` lists",
            hint="the same command with --fresh measures anew",
        )


def _lacking(probe: str, kind: str, rows: pd.DataFrame, unread: Collection[str]) -> list[str]:
    """The optional columns that rows don't have, but for those that nobody reads."""
    known = _declared(probe, kind)
    missing = [column.name for column in known if column.optional and column.name not in rows]
    return [name for name in missing if name not in unread]


def _declared(probe: str, kind: str) -> tuple[Column, ...]:
    """The columns of a kind of rows; none of a probe that isn't known."""
    if probe not in (*catalog.names("probe"), catalog.JUDGE):
        return ()
    return next(one.columns for one in catalog.observations(probe) if one.name == kind)


def _unread(probe: str) -> Collection[str]:
    known = probe in catalog.names("report")
    return value("report", catalog.load("report", probe), "UNREAD") if known else ()


def _changed(name: str, paths: dict[str, Path], entry: dict[str, Any]) -> list[str]:
    """Notes where a finished CSV isn't as large as run.json says, or is gone."""
    if entry.get("status") != "finished":
        return []
    main = next(iter(paths))
    known = {main: entry.get("size")} | entry.get("sizes", {})
    notes = []
    for kind, path in paths.items():
        size, found = known.get(kind), path.stat().st_size if path.exists() else None
        if size is None or size == found:
            continue
        what = f"CSV of {kind}" if len(paths) > 1 else "CSV"
        state = f"there is no {what}" if found is None else f"its {what} has {found} bytes"
        notes.append(
            f"{name} has rows that were changed or are missing: {state}, {size} when it finished"
        )
    return notes


def read_values(
    path: Path, texts: Collection[str] = (), unread: Collection[str] = ()
) -> pd.DataFrame:
    """The rows of a CSV as values: what looks like a number in all of a column is one.

    Arrow reads them a column at a time. What it doesn't take for what pandas would, pandas reads:
    columns of neither numbers nor texts, and files that are damaged or odd.

    Args:
        path: the CSV.
        texts: columns that hold texts, whatever they look like.
        unread: columns to leave out.

    Raises:
        ProbeError: a file that can't be read.
    """
    with _readable(path) as lines:
        try:
            table = _columns(lines, unread)
        except (pa.ArrowException, UnicodeDecodeError):
            return _by_pandas(lines, texts).drop(columns=[*unread], errors="ignore")
        found: dict[str, Any] = {}
        for name in table.column_names:
            column, table = table[name], table.drop_columns([name])
            found[name] = column.to_pandas() if name in texts else _numbers(column)
        odd = [name for name, column in found.items() if column is None]
        if odd:
            found |= {str(name): own for name, own in _by_pandas(lines, (), odd).items()}
        return pd.DataFrame(found)


def _numbers(column: pa.ChunkedArray) -> np.ndarray | None:
    """A column's numbers as pandas has them, NaN for nothing; None where they may be others."""
    filled = len(column) - column.null_count
    if filled == len(column) > 0:
        with suppress(pa.ArrowInvalid):
            whole: np.ndarray = pc.cast(column, pa.int64()).to_numpy()
            return whole
    with suppress(pa.ArrowInvalid):
        numbers: np.ndarray = pc.cast(column, pa.float64()).to_numpy()
        plain = np.count_nonzero(np.abs(numbers) < 2**63) == filled
        if plain and (filled < len(column) or (numbers % 1).any()):
            return numbers
    return None


def _by_pandas(
    lines: WholeLines, texts: Collection[str], names: list[str] | None = None
) -> pd.DataFrame:
    lines.rewind()
    file, kinds = io.BytesIO(lines.read()), dict.fromkeys(texts, str)
    return pd.read_csv(file, keep_default_na=False, na_values=[""], dtype=kinds, usecols=names)


def read_texts(path: Path) -> pa.Table:
    """The rows of a CSV as the text that stands in it, escapes and all; null for nothing.

    Raises:
        ProbeError: a file that can't be read, or lines of several lengths.
    """
    with _readable(path) as lines:
        return _columns(lines)


def _columns(lines: WholeLines, unread: Collection[str] = ()) -> pa.Table:
    """The columns of a CSV as text.

    Raises:
        ArrowException, UnicodeDecodeError: one that Arrow can't read.
    """
    heads = lines.head().decode().rstrip("\r\n").split(",")
    if len(set(heads)) < len(heads):
        raise pa.ArrowInvalid("two columns of one name")
    for size in dict.fromkeys((BLOCK, max(BLOCK, lines.size))):
        lines.rewind()
        try:
            return pa_csv.read_csv(
                pa.PythonFile(lines, "r"),
                read_options=pa_csv.ReadOptions(block_size=size),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(heads, pa.string()),
                    include_columns=[name for name in heads if name not in unread],
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
        except pa.ArrowInvalid:  # a row that is longer than a block, say
            if size >= lines.size:
                raise
    raise AssertionError("the last size is the file's")


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
def _readable(path: Path) -> Iterator[WholeLines]:
    """The whole lines of a CSV."""
    try:
        with path.open("rb") as file:
            yield WholeLines(file)
    except (OSError, ValueError, LookupError) as error:
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
