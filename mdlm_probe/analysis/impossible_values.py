"""Values that no measurement writes: a CSV that holds one was damaged, or written by hand."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.core import catalog
from mdlm_probe.core.columns import Column
from mdlm_probe.core.errors import ProbeError

TOLERANCE = 1e-3
"""How far rounding may carry a probability, or its logarithm, beyond what it can be."""

SEEN = 40
"""Characters of a value that an error shows."""


def fault(probe: str, rows: pd.DataFrame, kind: str = "") -> str:
    """What the first impossible value of a probe's rows is; "" for none.

    Args:
        probe: its name; of one that isn't known nothing is.
        rows: its columns as values.
        kind: of observation, where the probe has several.
    """
    try:
        kinds = {one.name: one.columns for one in catalog.observations(probe)}
    except ProbeError:
        return ""
    known = kinds[kind]
    here = (
        [c for c in known if c.name in rows and c.type in (bool, int, float)] if len(rows) else []
    )
    return next((found for c in here if (found := _fault(c, rows[c.name]))), "")


def _fault(column: Column, values: pd.Series[str]) -> str:
    known = values.map(_bounded) if values.dtype == object else values
    numbers = pd.to_numeric(known, errors="coerce")
    kind, wrong = "a number", values.notna() & numbers.isna()
    if not wrong.any():
        kind, wrong = _beyond(column, numbers)
    if not wrong.any():
        return ""
    row = int(wrong.to_numpy().argmax())
    return f"'{column.name}' is {str(values.iloc[row])[:SEEN]} in row {row + 1}, not {kind}"


def _bounded(value: object) -> object:
    """Whole numbers that no float holds are infinite."""
    return float("inf") if isinstance(value, int) and abs(value) > 2**63 else value


def _beyond(column: Column, numbers: pd.Series[float]) -> tuple[str, pd.Series[bool]]:
    """What a column's values are, and which are not."""
    there = numbers.notna()
    if column.type is bool:
        return "0 or 1", there & ~numbers.isin([0, 1])
    if column.type is int:
        return "a whole number", there & ((numbers % 1 != 0) | numbers.abs().gt(2**63 - 1))
    if column.name.startswith("logp"):
        return "0 or less", there & ~numbers.between(float("-inf"), TOLERANCE, inclusive="right")
    if column.name.endswith(("_prob", "_mass")):
        return "0 to 1", there & ~numbers.between(-TOLERANCE, 1 + TOLERANCE)
    return "", there & False
