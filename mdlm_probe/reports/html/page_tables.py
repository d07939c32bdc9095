"""Tables of the page: heads and cells as text, an interval's two columns as one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pandas as pd

OVER = ("items", "sets")
"""Units that intervals are over; other intervals are named after what they are of."""
NONE = "-"
SMALL = 0.0005


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        title: its name.
        heads: of the columns.
        rows: the model of each row ("" if it is of none), and its cells.
        numbers: whether a column holds numbers.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    numbers: tuple[bool, ...]


def table(title: str, frame: pd.DataFrame) -> Table:
    """A frame as a table: X_low and X_high become one interval of X, or over units X."""
    heads, columns, numbers = [], [], []
    for name in map(str, frame.columns):
        if name.endswith("_high") and f"{name[:-5]}_low" in frame:
            continue
        if name.endswith("_low") and f"{name[:-4]}_high" in frame:
            base = name[:-4]
            ends = zip(frame[name], frame[f"{base}_high"], strict=True)
            heads.append(f"95 % {'over' if base in OVER else 'of'} {base}")
            columns.append([interval(low, high) for low, high in ends])
        else:
            heads.append(name)
            columns.append([shown(value) for value in frame[name]])
        numbers.append(pd.api.types.is_numeric_dtype(frame[name]))
    models = frame["model"].astype(str) if "model" in frame else [""] * len(frame)
    cells = zip(*columns, strict=True) if columns else [()] * len(frame)
    return Table(
        title,
        tuple(heads),
        tuple(zip(models, map(tuple, cells), strict=True)),
        tuple(numbers),
    )


def interval(low: Any, high: Any) -> str:
    """Both ends of an interval, as the page's script writes them, too."""
    if _missing(low) or _missing(high):
        return NONE
    return f"{shown(low)} to {shown(high)}"


def shown(value: Any) -> str:
    """A value, as the page's script writes it, too: three decimals at most, small ones in powers.

    Halves are rounded away from 0, since JavaScript does.
    """
    if _missing(value):
        return NONE
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if 0 < abs(value) < SMALL:
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa}e{int(exponent)}"
    rounded = Decimal(value).quantize(Decimal("0.001"), ROUND_HALF_UP)
    text = f"{rounded:f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
