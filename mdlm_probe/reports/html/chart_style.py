"""How a chart's values are told apart, and where its axes end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import charts
from mdlm_probe.analysis.charts import MEASURE, Chart, ChartStyle

MARGIN = 0.04
"""Of the range of values, empty at both ends of an axis."""
ENDS = ("low", "high")
CROWDED = 6
"""Lines in a panel beyond which bands would hide them."""


def look(chart: Chart, tables: Sequence[pd.DataFrame], models: Mapping[str, str]) -> ChartStyle:
    """How a chart's values are told apart.

    Args:
        chart: what is declared.
        tables: of all tasks together, which says what there is to see, then of each.
        models: the colours of all models of the page.
    """
    own = _values(tables, chart.colour) if chart.colour else ()
    known = chart.colour == "model"
    colours = {name: models[name] for name in own} if known else charts.colours(own)
    if chart.kind == "heat":
        across, up = (_values(tables, axis.column) for axis in (chart.x, chart.y))
        return ChartStyle(colours, across=across, up=up, ends=_colour_ends(chart, tables[0]))
    dashes = _values(tables, chart.dash) if chart.dash else ()
    across = _values(tables, chart.x.column) if chart.kind == "interval" else ()
    return ChartStyle(colours, dashes, across, bands=_lines(chart, tables[0]) <= CROWDED)


def _lines(chart: Chart, table: pd.DataFrame) -> int:
    """The lines of the panel that has most."""
    names = list(dict.fromkeys(n for n in (*chart.panels, chart.colour, chart.dash) if n))
    lines = table[names].drop_duplicates()
    if not chart.panels:
        return len(lines)
    return int(lines.groupby(list(chart.panels), observed=True).size().max())


def _colour_ends(chart: Chart, table: pd.DataFrame) -> tuple[float, float]:
    """The values at the ends of a heat map's colours."""
    assert chart.fill
    values = chart.fill.times * table[chart.fill.column].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    if chart.centred:
        high = max(chart.centred, abs(low), abs(high))
        low = -high
    if low == high:
        high = low + 1.0
    return float(f"{low:.4g}"), float(f"{high:.4g}")


def _values(tables: Sequence[pd.DataFrame], column: str) -> tuple[str, ...]:
    """A column's values: numbers by size, others as they first appear."""
    found = pd.concat([table[column] for table in tables if column in table]).drop_duplicates()
    if isinstance(found.dtype, pd.CategoricalDtype) or pd.api.types.is_numeric_dtype(found):
        found = found.sort_values()
    return tuple(map(text_of, found))


def ends(chart: Chart, rows: pd.DataFrame, where: Mapping[str, str]) -> list[float]:
    """The ends of the axes of x and y: what there is to see, and a little more up and down.

    All panels have the same, but for those of another measure.
    """
    rows = rows_of(rows, {name: value for name, value in where.items() if name == MEASURE})
    names = [name for name in rows if str(name).startswith("beside_")]
    values = rows[["y", *names]].to_numpy(dtype=float).ravel()
    reach = rows[[end for end in ENDS if end in rows]].to_numpy(dtype=float).ravel()
    if chart.kind == "points" and np.isfinite(values).any():
        # one wide interval would hide how points differ; hovering says where it ends
        apart = max(np.nanmax(values) - np.nanmin(values), 0.1 * np.nanmax(np.abs(values)))
        reach = np.clip(reach, np.nanmin(values) - apart, np.nanmax(values) + apart)
    up = _range(np.concatenate([values, reach]), chart.y.log, MARGIN)
    if chart.kind == "interval":
        return [0.0, 1.0, *up]
    return [*_range(rows["x"].to_numpy(dtype=float), chart.x.log, MARGIN / 2), *up]


def _range(values: np.ndarray, log: bool, margin: float) -> list[float]:
    """The smallest and the largest value that an axis can show, and a margin."""
    values = values[np.isfinite(values) & ((values > 0) | (not log))]
    if not len(values):
        return [1.0, 10.0] if log else [0.0, 1.0]
    low, high = float(values.min()), float(values.max())
    if log:
        apart = (high / low) ** margin if high > low else 2.0
        ends = low / apart, high * apart
    else:
        apart = margin * (high - low) if high > low else 0.5
        ends = low - apart, high + apart
    return [float(f"{end:.6g}") for end in ends]


def text_of(value: Any) -> str:
    """A value that tells rows apart, as text."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def rows_of(rows: pd.DataFrame, where: Mapping[str, str]) -> pd.DataFrame:
    """The rows of a panel, by the text of what tells them apart."""
    keep = np.ones(len(rows), dtype=bool)
    for name, value in where.items():
        keep &= (rows[name] == value).to_numpy()
    return rows[keep]
