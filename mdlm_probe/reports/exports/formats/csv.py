"""CSV: rows and tables with types, for spreadsheets too."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from mdlm_probe.reports.exports.arrow_tables import arrow_tables
from mdlm_probe.reports.exports.exported_run import ExportedRun, ExportRequest

ROWS = True
"""Whether it holds rows beside tables, so that --only chooses between them."""

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""With these begin the texts that spreadsheets take for formulas, and run. Source: OWASP."""


def files(runs: Sequence[ExportedRun], request: ExportRequest) -> dict[str, bytes]:
    """PROBE.csv with the rows of all its models, PROBE-TABLE.csv with a report's table.

    Rows of other kinds than the main one are in PROBE-KIND-rows.csv.
    """
    return {
        f"{path}.csv": _written(table, request.safe) for path, table in arrow_tables(runs, request)
    }


def _written(table: pa.Table, safe: bool) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)  # lines end in \r\n, so that both are quoted within texts
    writer.writerow([_neutral(name) if safe else name for name in table.column_names])
    for batch in table.to_batches(10_000):
        for row in batch.to_pylist():
            writer.writerow(map(_neutral, row.values()) if safe else row.values())
    return out.getvalue().encode()


def _neutral(value: Any) -> Any:
    """A value that no spreadsheet runs: texts that it would are preceded by an apostrophe."""
    runs = isinstance(value, str) and value.startswith(FORMULAS)
    return f"'{value}" if runs else value
