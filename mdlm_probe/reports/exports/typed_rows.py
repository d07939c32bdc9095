"""Rows with types: what the CSV's text stands for."""

from __future__ import annotations

import typing
from contextlib import suppress
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mdlm_probe.analysis.frames import read_texts
from mdlm_probe.core import catalog
from mdlm_probe.core.sheet import text_from

if TYPE_CHECKING:
    from mdlm_probe.reports.exports.exported_run import ExportedRun

JUDGED = {"judge": "shift"}
KINDS = {int: pa.int64(), float: pa.float64(), str: pa.string()}
TEXT = {
    *("answer", "canvas", "form", "judge", "label", "model", "moves", "order", "predicted"),
    *("prompt", "reason", "right", "settings", "task", "text", "text_exact", "token_first"),
    *("token_second", "top", "unit", "unmasked", "verdict"),
}
"""Measured columns that are text, even where all of it looks like numbers."""


def typed(run: ExportedRun, probe: str) -> pa.Table:
    """A probe's rows, of all its models, in the order of the CSVs.

    A cell's coordinates have the types that the probe declares. Other columns are whole numbers or
    floats if all their values are, else text; floats where there are no values. What the CSV leaves
    empty is null (in a coordinate that is text: the empty text); a measured NaN stays NaN. Escapes
    such as backslash-n become the characters they stand for.

    Raises:
        ProbeError: a CSV that can't be read.
    """
    names = run.measurements(probe)
    paths = [path for name in names if (path := run.folder / f"{name}.csv").exists()]
    whole = pa.concat_tables([table for path in paths if len(table := read_texts(path))])
    kinds = coordinates(probe)
    columns = {name: _typed(name, whole[name], kinds.get(name)) for name in whole.column_names}
    return pa.table(columns)


def coordinates(probe: str) -> dict[str, pa.DataType]:
    """The types of a cell's coordinates; judging has those of the answers that it judges."""
    hints = typing.get_type_hints(catalog.load("probe", JUDGED.get(probe, probe)).Cell)
    return {name: KINDS[hint] for name, hint in hints.items() if hint in KINDS}


def coordinates_in(probe: str, table: pd.DataFrame) -> list[str]:
    """The columns of a report's table that are coordinates, not counts of the same name."""
    kinds = coordinates(probe)
    return [
        name
        for name in map(str, table.columns)
        if name in kinds
        and not (kinds[name] == pa.string() and pd.api.types.is_numeric_dtype(table[name]))
    ]


def _typed(name: str, column: pa.ChunkedArray, kind: pa.DataType | None) -> pa.ChunkedArray:
    empty = column.null_count == len(column)
    numbers = () if name in TEXT else (pa.float64(),) if empty else (pa.int64(), pa.float64())
    for number in [kind] if kind else numbers:
        with suppress(pa.ArrowInvalid):
            if number != pa.string():
                return pc.cast(column, number)
    if pc.any(pc.match_substring(column, "\\")).as_py():
        column = pa.chunked_array(
            [[field and text_from(field) for field in column.to_pylist()]], pa.string()
        )
    return pc.fill_null(column, "") if kind == pa.string() else column
