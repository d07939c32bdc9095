"""Columns of a report's table that a user chose, and what the others have to say beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from mdlm_probe.analysis.tables import (
    MISSING,
    UNITS_OF_ANALYSIS,
    column_words,
    is_missing,
    number,
    text_table,
)
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.reports.exports.captioned_tables import titled
from mdlm_probe.reports.exports.column_units import unit_of
from mdlm_probe.reports.exports.exported_run import ExportedRun
from mdlm_probe.reports.exports.tracker_data import keys_of

INTERVAL = "_interval"
"""Behind a name, it is the interval from NAME_low to NAME_high: items_interval."""


@dataclass(frozen=True)
class ChosenColumn:
    """A column to print.

    Attributes:
        head: in words, with its unit.
        cells: of its rows.
        numeric: whether these are numbers.
        intervals: those of the numbers, in brackets; () where the table has none of them.
    """

    head: str
    cells: tuple[str, ...]
    numeric: bool
    intervals: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChosenTable:
    """A table of chosen columns.

    Attributes:
        caption: what it is, and what all its rows have in common.
        columns: those chosen, in the user's order.
        groups: rows by what else tells them apart, in words; one group named "" for nothing.
    """

    caption: str
    columns: tuple[ChosenColumn, ...]
    groups: dict[str, list[int]]


def selectable(frame: pd.DataFrame) -> list[str]:
    """The names that can be chosen of a table: its columns, intervals in place of ends."""
    names = list(map(str, frame.columns))
    bases = [n.removesuffix("_low") for n in names if n.endswith("_low")]
    bases = [base for base in bases if f"{base}_high" in names]
    ends = {f"{base}{end}" for base in bases for end in ("_low", "_high")}
    return [*(n for n in names if n not in ends), *(base + INTERVAL for base in bases)]


def check_chosen(runs: Sequence[ExportedRun], columns: Sequence[str]) -> None:
    """Refuses a name that no table has, and names that no table has together.

    Raises:
        ProbeError: the nearest name, or the tables that have some of them.
    """
    tables = {
        f"{probe}-{name}": selectable(frame)
        for run in runs
        for probe, one in run.made.items()
        for name, frame in one.tables.items()
        if len(frame)
    }
    known = sorted({name for names in tables.values() for name in names})
    for column in columns:
        if column not in known:
            error = catalog.unknown("column", column, known)
            raise ProbeError(
                error.found, expected=error.expected, hint=error.hint, option="columns"
            )
    if not any(set(columns) <= set(names) for names in tables.values()):
        most = max(tables, key=lambda name: len(set(columns) & set(tables[name])))
        raise ProbeError(
            f"no table has all of the columns {', '.join(columns)}",
            expected=f"columns of one table, such as {most}: {', '.join(tables[most])}",
            option="columns",
        )


def chosen_table(
    probe: str, name: str, frame: pd.DataFrame, columns: Sequence[str]
) -> ChosenTable | None:
    """A table's chosen columns; None where it lacks one of them.

    What is equal in all rows and wasn't chosen (coordinates, the model, counts) stands in the
    caption; coordinates that differ and weren't chosen part the rows into groups.
    """
    if not set(columns) <= set(selectable(frame)):
        return None
    keys = [k for k in keys_of(probe, frame) if not pd.api.types.is_float_dtype(frame[k])]
    counts = [n for n in map(str, frame.columns) if pd.api.types.is_integer_dtype(frame[n])]
    others = [n for n in dict.fromkeys((*keys, *counts)) if n not in columns]
    same = [n for n in others if frame[n].nunique(dropna=False) == 1]
    apart = [k for k in keys if k in others and k not in same]
    caption = [titled(probe, name)]
    if same:
        caption.append(f"All with {_words(frame, same).iloc[0]}.")
    made = tuple(_column(probe, name, frame, column) for column in dict.fromkeys(columns))
    if any(one.intervals for one in made):
        caption.append("Brackets: 95 % intervals.")
    groups: dict[str, list[int]] = {}
    said = list(_words(frame, apart)) if apart else [""] * len(frame)
    for place, where in enumerate(said):
        groups.setdefault(where, []).append(place)
    return ChosenTable(" ".join(caption), made, groups)


def _words(frame: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """Each row's values of these columns, after their names."""
    text = text_table(frame[list(columns)], head=column_words)
    named = [
        ", ".join(f"{head} {value}" for head, value in zip(text.heads, row, strict=True))
        for row in text.rows
    ]
    return pd.Series(named)


def _column(probe: str, name: str, frame: pd.DataFrame, column: str) -> ChosenColumn:
    base = column.removesuffix(INTERVAL)
    if base != column and column not in frame:
        text = text_table(frame[[f"{base}_low", f"{base}_high"]], head=column_words)
        return ChosenColumn(text.heads[0], _intervals(frame, base), numeric=False)
    unit = partial(unit_of, probe, name)
    text = text_table(frame[[column]], head=column_words, unit=unit)
    own = f"{column}_low" in frame and f"{column}_high" in frame
    of_units = column in UNITS_OF_ANALYSIS  # counts: the interval over them isn't of them
    return ChosenColumn(
        text.heads[0],
        tuple(row[0] for row in text.rows),
        text.numeric[0],
        _intervals(frame, column) if own and not of_units else (),
    )


def _intervals(frame: pd.DataFrame, base: str) -> tuple[str, ...]:
    ends = zip(frame[f"{base}_low"], frame[f"{base}_high"], strict=True)
    return tuple(
        MISSING if is_missing(low) or is_missing(high) else f"[{number(low)}, {number(high)}]"
        for low, high in ends
    )
