"""Rows with types: what the CSV's text stands for."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mdlm_probe.analysis.frames import read_texts
from mdlm_probe.core import catalog
from mdlm_probe.core.columns import names
from mdlm_probe.core.csv_text import text_from
from mdlm_probe.core.errors import ProbeError

if TYPE_CHECKING:
    from mdlm_probe.reports.exports.exported_run import ExportedRun

TYPES = {
    bool: pa.int64(),  # as the CSV has them: 0 and 1
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
}


def typed(run: ExportedRun, probe: str, kind: str = "") -> pa.Table:
    """A probe's rows of one kind, of all its models, in the order of the CSVs.

    Columns have the types that the probe declares, where their values have them; else they are
    whole numbers or floats if all their values are, or text. What the CSV leaves empty is null (in
    a coordinate that is text: the empty text); a measured NaN stays NaN. Escapes such as
    backslash-n become the characters they stand for; columns of lists stay the JSON
    that they are.

    Raises:
        ProbeError: a CSV that can't be read.
    """
    found = run.csvs(probe).get(kind, [])
    read = [read_texts(path) for name in found if (path := run.folder / name).exists()]
    if not read:
        raise ProbeError(
            f"{run.folder} has none of {', '.join(found)}", expected="the rows of a whole run"
        )
    tables = [table for table in read if len(table)] or read[:1]
    whole = pa.concat_tables(tables, promote_options="default")
    order = [name for name in names(catalog.columns(probe)) if name in whole.column_names]
    others = [name for name in whole.column_names if name not in order]
    whole = whole.select([*order, *others])  # a model may lack a column that the next one has
    plain = catalog.columns_of_type(probe, list)
    declared = {c.name: TYPES[c.type] for c in catalog.columns(probe) if c.name not in plain}
    cell = names(catalog.coordinates(probe))
    return pa.table(
        {
            name: whole[name]
            if name in plain
            else _typed(whole[name], declared.get(name), coordinate=name in cell)
            for name in whole.column_names
        }
    )


def coordinates_in(probe: str, table: pd.DataFrame) -> list[str]:
    """The columns of a report's table that are coordinates, not counts of the same name."""
    types = {column.name: column.type for column in catalog.coordinates(probe)}
    return [
        name
        for name in map(str, table.columns)
        if name in types and not (types[name] is str and pd.api.types.is_numeric_dtype(table[name]))
    ]


def _typed(
    column: pa.ChunkedArray, declared: pa.DataType | None, *, coordinate: bool
) -> pa.ChunkedArray:
    if declared != pa.string():
        for number in (declared, pa.int64(), pa.float64()) if declared else _guesses(column):
            with suppress(pa.ArrowInvalid):
                return pc.cast(column, number)
    if pc.any(pc.match_substring(column, "\\")).as_py():
        column = pa.chunked_array(
            [[field and text_from(field) for field in column.to_pylist()]], pa.string()
        )
    return pc.fill_null(column, "") if coordinate and declared == pa.string() else column


def _guesses(column: pa.ChunkedArray) -> tuple[pa.DataType, ...]:
    """The types of numbers that a column may have which no probe declares."""
    empty = column.null_count == len(column)
    return (pa.float64(),) if empty else (pa.int64(), pa.float64())
