"""Tables as heads and cells of text, and what stands above them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mdlm_probe.core import catalog
from mdlm_probe.reports.exports._units import unit_of
from mdlm_probe.reports.exports.typed_rows import coordinates_in

OVER = ("items", "sets")
"""Units that intervals are over; other intervals are named after what they are of."""
NONE = "-"
HEADS = {
    "points": "drop",
    "p_right": "probability of right",
    "top1_prob": "top-1 probability",
    "mask_tokens": "masks in the prompt",
    "p_holm": "Holm's p",
}
"""Heads that say more than the column's name."""


@dataclass(frozen=True)
class Sheet:
    """A table as text.

    Attributes:
        title: what it is, in a sentence.
        fixed: coordinates that are the same in all rows, and are therefore no columns.
        heads, rows: of the columns that are left.
        numbers: whether a column holds numbers.
    """

    title: str
    fixed: dict[str, str]
    heads: list[str]
    rows: list[list[str]]
    numbers: list[bool]


def sheet(probe: str, name: str, frame: pd.DataFrame) -> Sheet:
    """A report's table as text: X_low and X_high become one interval of X, or over units X.

    Coordinates that don't vary leave the columns, but for the model.
    """
    own = [c for c in coordinates_in(probe, frame) if frame[c].nunique() == 1]
    fixed = {spoken(c): _cells(frame[c])[0] for c in own}
    left = frame.drop(columns=own)
    heads, columns, numbers = [], [], []
    for column in map(str, left.columns):
        if column.endswith("_high") and f"{column[:-5]}_low" in left:
            continue
        unit = unit_of(probe, name, column)
        if column.endswith("_low") and f"{column[:-4]}_high" in left:
            base = column[:-4]
            heads.append(f"95 % {'over' if base in OVER else 'of'} {spoken(base)}")
            columns.append([interval(*ends) for ends in left[[column, f"{base}_high"]].to_numpy()])
        else:
            head = spoken(column)
            heads.append(head + (f" ({unit})" if unit and not head.endswith(unit) else ""))
            columns.append(_cells(left[column], unit))
        numbers.append(pd.api.types.is_numeric_dtype(left[column]))
    return Sheet(
        _title(probe, name), fixed, heads, list(map(list, zip(*columns, strict=True))), numbers
    )


def _title(probe: str, name: str) -> str:
    """What the report says of a table: its function's first line, or the table's name."""
    function = getattr(catalog.load("report", probe), name, None)
    said = inspect.getdoc(function) if inspect.isfunction(function) else None
    return f"{probe}, {name}" + (f": {said.splitlines()[0]}" if said else "")


def spoken(column: str) -> str:
    """A column's name as a head: words, not underscores."""
    if column in HEADS:
        return HEADS[column]
    for ending, what in (("_holm", "Holm's p"), ("_p", "p")):
        if column.endswith(ending):
            base = column.removesuffix(ending)
            return f"{what} {'over' if base in OVER else 'of'} {spoken(base)}"
    return column.replace("_", " ")


def _cells(column: pd.Series, unit: str = "") -> list[str]:
    """A column's values as text; whole numbers have no decimals where all of them are whole.

    Not where all of them are 0, 1 or -1 without a unit: so are shares, p-values and gaps.
    """
    if pd.api.types.is_float_dtype(column):
        known = column.dropna()
        if (known == known.round()).all() and (unit or (known.abs() > 1).any()):
            return [NONE if value != value else f"{value:.0f}" for value in column]
    return [number(value) for value in column]


def interval(low: Any, high: Any) -> str:
    """Both ends of an interval, or a dash where there is none."""
    return NONE if low != low or high != high else f"{number(low)} to {number(high)}"


def number(value: Any) -> str:
    """A value for a table: three decimals, small ones in powers of ten, a dash for none."""
    if value is None or value != value:
        return NONE
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 0.0005 else f"{value:.3f}"
    return str(value) or NONE
