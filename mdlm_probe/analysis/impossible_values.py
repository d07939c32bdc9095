"""Values that no measurement writes: a CSV that holds one was damaged, or written by hand."""

from __future__ import annotations

import numpy as np
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
    numbers = pd.to_numeric(known, errors="coerce").to_numpy()
    there = ~np.isnan(numbers)
    kind, wrong = "a number", ~there & values.notna().to_numpy()
    if not wrong.any():
        kind, wrong = _beyond(column, numbers, there)
    if not wrong.any():
        return ""
    row = int(wrong.argmax())
    return f"'{column.name}' is {str(values.iloc[row])[:SEEN]} in row {row + 1}, not {kind}"


def _bounded(value: object) -> object:
    """Whole numbers that no float holds are infinite."""
    return float("inf") if isinstance(value, int) and abs(value) > 2**63 else value


def _beyond(column: Column, numbers: np.ndarray, there: np.ndarray) -> tuple[str, np.ndarray]:
    """What a column's values are, and which of those that are there are not."""
    if column.type is bool:
        return "0 or 1", there & (numbers != 0) & (numbers != 1)
    if column.type is int:
        with np.errstate(invalid="ignore"):  # of infinite ones
            broken = numbers % 1 != 0
        return "a whole number", there & (broken | (np.abs(numbers) > 2**63 - 1))
    if column.name.startswith("logp"):
        return "0 or less", there & ~((numbers > -np.inf) & (numbers <= TOLERANCE))
    if column.name.endswith(("_prob", "_mass")):
        return "0 to 1", there & ~((numbers >= -TOLERANCE) & (numbers <= 1 + TOLERANCE))
    return "", np.zeros(len(numbers), dtype=bool)
