"""Tables as text: the heads and cells of a frame, as terminal, page and exports print them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd

Rounding = Literal["fixed", "shortest"]
"""Three decimals always (one where shares are in percent), or as few as say the same, as the page's
script writes numbers.
"""
PERCENT, POINTS = "%", "points"
WHOLE = 100
"""What a share is multiplied by."""

ONE, THREE = 1, 3
"""Decimals."""

MISSING = "-"
"""The cell of a value that isn't there."""
SMALL, LARGE = 0.0005, 1e21
"""Numbers nearer to 0 than the one, or as far as the other, have an exponent, as JavaScript's."""
UNITS_OF_ANALYSIS = ("items", "tasks")
"""What intervals and tests are over; any other name says what they are of."""
WORDS = {
    "points": "drop",
    "p_right": "probability of right",
    "top1_prob": "top-1 probability",
    "mask_tokens": "masks in the prompt",
    "p_holm": "Holm's p",
}
"""Heads that say more than the column's name."""

Head = Callable[[str, str], str]
"""Maps a column's name and its unit to its head."""


@dataclass(frozen=True)
class TextTable:
    """A table as text.

    Attributes:
        heads: of its columns.
        rows: the cells of each.
        numeric: whether a column holds numbers.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]


def column_name(column: str, unit: str = "") -> str:
    """A column's own name, as the CSV has it, for a head."""
    return column


def column_words(column: str, unit: str = "") -> str:
    """A column's name in words, with its unit unless the words end in that."""
    if column in WORDS:
        words = WORDS[column]
    elif column.endswith("_holm"):
        words = f"Holm's p {_over(column.removesuffix('_holm'), column_words)}"
    elif column.endswith("_p"):
        words = f"p {_over(column.removesuffix('_p'), column_words)}"
    else:
        words = column.replace("_", " ")
    return f"{words} ({unit})" if unit and not words.endswith(unit) else words


def text_table(
    frame: pd.DataFrame,
    *,
    head: Head = column_name,
    unit: Callable[[str], str] = lambda column: "",
    rounding: Rounding = "fixed",
    percent: Mapping[str, str] = MappingProxyType({}),
) -> TextTable:
    """A frame as text; its columns X_low and X_high become one, the interval of X, or over X.

    Args:
        frame: the table.
        head: how columns are headed.
        unit: the unit of a column; "" for shares, probabilities and counts.
        rounding: how numbers are written.
        percent: shares that are shown in percent, by column or what an interval is over: the unit
            that their heads name, if any.
    """
    heads, columns, numeric = [], [], []
    for column in map(str, frame.columns):
        base, _, end = column.rpartition("_")
        paired = {f"{base}_low", f"{base}_high"} <= set(frame.columns)
        if end == "high" and paired:
            continue
        if end == "low" and paired:
            heads.append(_with_unit(f"95 % {_over(base, head)}", percent.get(base, "")))
            shares = base in percent
            ends = zip(
                *(_scaled(frame[f"{base}_{end}"], shares) for end in ("low", "high")), strict=True
            )
            decimals = ONE if shares else THREE
            columns.append([interval(low, high, rounding, decimals) for low, high in ends])
        else:
            shares = column in percent and column not in UNITS_OF_ANALYSIS  # those are counts
            own = percent[column] if shares else ""
            heads.append(_with_unit(head(column, unit(column)), own))
            values = _scaled(frame[column], shares)
            decimals = ONE if shares else THREE
            columns.append(_cells(values, own or unit(column), rounding, decimals))
        numeric.append(pd.api.types.is_numeric_dtype(frame[column]))
    rows = zip(*columns, strict=True) if columns else [()] * len(frame)
    return TextTable(tuple(heads), tuple(rows), tuple(numeric))


def _scaled(column: pd.Series, shares: bool) -> pd.Series:
    """Shares in percent, without what binary fractions add to whole numbers; others as they are."""
    return (WHOLE * column).round(9) if shares else column


def _with_unit(head: str, unit: str) -> str:
    return f"{head} ({unit})" if unit else head


def _over(base: str, head: Head) -> str:
    """What an interval or a test is over, or of."""
    return f"{'over' if base in UNITS_OF_ANALYSIS else 'of'} {head(base, '')}"


def _cells(column: pd.Series, unit: str, rounding: Rounding, decimals: int) -> list[str]:
    """A column's values; whole numbers have no decimals where all of them are whole.

    Not where all of them are 0, 1 or -1 without a unit: so are shares, p-values and gaps.
    """
    if rounding == "fixed" and pd.api.types.is_float_dtype(column):
        known = column.dropna()
        finite = known[np.isfinite(known)]
        if (finite == finite.round()).all() and (unit or (finite.abs() > 1).any()):
            return [number(v, "shortest") for v in column]
    return [number(value, rounding, decimals) for value in column]


def number(value: Any, rounding: Rounding = "fixed", decimals: int = THREE) -> str:
    """A value: numbers with three decimals, small ones with an exponent; a dash for none."""
    if is_missing(value):
        return MISSING
    if not isinstance(value, float | np.floating):
        return str(value)
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return _shortest(float(value)) if rounding == "shortest" else _fixed(float(value), decimals)


def interval(low: Any, high: Any, rounding: Rounding = "fixed", decimals: int = THREE) -> str:
    """Both ends of an interval; a dash where there is none."""
    if is_missing(low) or is_missing(high):
        return MISSING
    return f"{number(low, rounding, decimals)} to {number(high, rounding, decimals)}"


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing."""
    return value is None or value is pd.NA or value != value or value == ""


def _fixed(value: float, decimals: int) -> str:
    if decimals == ONE and 0 < abs(value) < 0.05:
        return f"{value:.1g}"
    return f"{value:.{decimals}f}" if _has_no_exponent(value) else f"{value:.1e}"


def _shortest(value: float) -> str:
    """As JavaScript writes it, which rounds halves away from 0."""
    if not _has_no_exponent(value):
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa}e{int(exponent)}"
    rounded = Decimal(value).quantize(Decimal("0.001"), ROUND_HALF_UP)
    text = f"{rounded:f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _has_no_exponent(value: float) -> bool:
    return value == 0 or SMALL <= abs(value) < LARGE
