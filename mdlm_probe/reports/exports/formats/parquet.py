"""Parquet: rows and tables with their types, for pandas, polars, DuckDB and datasets.

Each field's metadata say what it holds, as its probe declares it.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyarrow import parquet

from mdlm_probe.reports.exports.arrow_tables import arrow_tables
from mdlm_probe.reports.exports.exported_run import ExportedRun, ExportRequest

ROWS = True
"""Whether it holds rows beside tables, so that --only chooses between them."""


def files(runs: Sequence[ExportedRun], request: ExportRequest) -> dict[str, bytes]:
    """PROBE.parquet with the rows of all its models, PROBE-TABLE.parquet with a report's table.

    Rows of other kinds than the main one are in PROBE-KIND-rows.parquet.
    """
    return {f"{path}.parquet": _bytes(table) for path, table in arrow_tables(runs, request)}


def _bytes(table: pa.Table) -> bytes:
    out = pa.BufferOutputStream()
    parquet.write_table(table, out)
    data: bytes = out.getvalue().to_pybytes()
    return data
