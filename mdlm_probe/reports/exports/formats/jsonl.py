"""JSON lines: rows and tables, one object per line."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from mdlm_probe.reports.exports.arrow_tables import arrow_tables
from mdlm_probe.reports.exports.exported_run import ExportedRun, ExportRequest

ROWS = True
"""Whether it holds rows beside tables, so that --only chooses between them."""


def files(runs: Sequence[ExportedRun], request: ExportRequest) -> dict[str, bytes]:
    """PROBE.jsonl with the rows of all its models, PROBE-TABLE.jsonl with a report's table.

    Rows of other kinds than the main one are in PROBE-KIND-rows.jsonl.
    """
    return {f"{path}.jsonl": _lines(table) for path, table in arrow_tables(runs, request)}


def _lines(table: pa.Table) -> bytes:
    rows = (row for batch in table.to_batches(10_000) for row in batch.to_pylist())
    lines = (json.dumps({n: plain(v) for n, v in row.items()}, ensure_ascii=False) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def plain(value: Any) -> Any:
    """A value as JSON can hold it: NaN becomes null, an infinite number a text."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)
