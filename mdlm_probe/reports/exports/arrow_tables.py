"""Rows and tables as Arrow holds them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from mdlm_probe.core import catalog
from mdlm_probe.reports.exports.data_dictionary import rows_with_metadata, table_with_metadata
from mdlm_probe.reports.exports.exported_run import ExportedRun, ExportRequest
from mdlm_probe.reports.exports.typed_rows import typed


def arrow_tables(runs: Sequence[ExportedRun], request: ExportRequest) -> list[tuple[str, pa.Table]]:
    """Rows and tables by path, without an ending; a table's NaN means that there is no value.

    Their fields' metadata say what they hold.
    """
    found = []
    for run in runs:
        for probe, one in run.made.items():
            if request.rows:
                found += [
                    (run.file(name), rows_with_metadata(typed(run, probe, kind), probe, kind))
                    for kind, name in row_files(probe).items()
                    if run.csvs(probe).get(kind, True)  # kinds of a later version have no files
                ]
            if request.tables:
                found += [
                    (run.file(f"{probe}-{name}"), table_with_metadata(arrow(frame), probe, name))
                    for name, frame in one.tables.items()
                    if len(frame.columns)
                ]
    return found


def row_files(probe: str) -> dict[str, str]:
    """The files of a probe's rows by kind of observation, without an ending.

    PROBE for the main kind, PROBE-KIND-rows for others: a report's tables are called PROBE-TABLE.
    """
    main, *others = [kind.name for kind in catalog.observations(probe)]
    return {main: probe} | {kind: f"{probe}-{kind}-rows" for kind in others}


def arrow(frame: pd.DataFrame) -> pa.Table:
    """A report's table; columns that hold numbers and text are text, categories too."""
    plain = {
        str(name): column if pd.api.types.is_numeric_dtype(column) else column.map(_text)
        for name, column in frame.items()
    }
    table = pa.Table.from_pandas(pd.DataFrame(plain), preserve_index=False)
    fields = [
        (f.name, pa.string() if f.type == pa.large_string() else f.type) for f in table.schema
    ]
    return table.cast(pa.schema(fields)).replace_schema_metadata()


def _text(value: object) -> str | None:
    return None if value is None or value != value else str(value)
