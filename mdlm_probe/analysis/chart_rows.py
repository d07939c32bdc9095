"""Rows of charts: tables of a report as fields that are drawn, with those of further layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis.charts import MEASURE, Axis, Chart, ChartLayer
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.observed import Observed

Source = tuple[Tables, Observed]
"""A report's tables, and the rows they were made of."""
ENDS = ("low", "high")
"""Fields of an interval's ends; along x they are `x_low` and `x_high`."""
LAYER = "layer"
"""The field that says which layer a row is of; the chart's own rows have none."""


def value_field(chart: Chart) -> str:
    """The field of what is measured."""
    return {"heat": "fill", "interval": "x"}.get(chart.kind, "y")


def measured_axes(chart: Chart, table: pd.DataFrame) -> list[Axis]:
    """The measured axes that a table has values of."""
    return [a for a in chart.measured if a.column in table and table[a.column].notna().any()]


def several(chart: Chart) -> bool:
    """Whether each measure has panels of its own, by having an axis of its own."""
    return isinstance(chart.y, tuple)


def measure(axis: Axis) -> str:
    """What an axis shows, as a value of the column "measure"."""
    return " ".join(axis.title.split())


def series_of(chart: Chart) -> list[str]:
    """The columns that tell rows apart, the model first."""
    names = [*chart.panels, chart.colour, chart.dash]
    names += [MEASURE] if several(chart) else []
    return list(dict.fromkeys(sorted(filter(None, names), key=lambda name: name != "model")))


def own_rows(chart: Chart, table: pd.DataFrame) -> pd.DataFrame:
    """A chart's rows by field: one of each measure for every row of its table."""
    series = series_of(chart)
    parts = [_of_measure(chart, table, axis) for axis in measured_axes(chart, table)]
    found = pd.concat(parts, ignore_index=True)
    for name in series:
        found[name] = texts(found[name])
    fields = [f for f in ("x", "y", "fill", *ENDS) if f in found]
    fields += [f"beside_{i}" for i, _ in enumerate(chart.beside)]
    kept = (chart.filled, *(name for name, _ in chart.counts), *chart.more, "over")
    fields += [name for name in dict.fromkeys(kept) if name in found and name not in series]
    return found[[*series, *fields]]


def _of_measure(chart: Chart, table: pd.DataFrame, axis: Axis) -> pd.DataFrame:
    out = table.copy()
    named = {"heat": (chart.x, chart.up), "interval": (chart.up,)}.get(chart.kind, ())
    for field, shown in (("x", chart.x), ("y", chart.up)):
        if shown in named:
            out[field] = texts(table[shown.column])
        elif shown.column in table and shown is not axis:
            out[field] = numbers(table[shown.column], shown.times)
    out[value_field(chart)] = numbers(table[axis.column], axis.times)
    if axis.ends:
        for end in ENDS:
            out[end] = numbers(table[f"{axis.ends}_{end}"], axis.times)
    for i, (name, _) in enumerate(chart.beside):
        out[f"beside_{i}"] = numbers(table[name], axis.times)
    if several(chart):
        out[MEASURE] = measure(axis)
    return out


def with_layers(chart: Chart, own: pd.DataFrame, source: Source) -> pd.DataFrame:
    """The chart's rows, then those of its layers."""
    found = [_of_layer(chart, layer, i, source) for i, layer in enumerate(chart.layers)]
    found = [rows for rows in found if len(rows)]
    if not found:
        return own
    fields = dict.fromkeys(name for rows in (own, *found) for name in rows)
    both = pd.concat([own.astype(object), *found], ignore_index=True)
    return both.reindex(columns=list(fields))


def _of_layer(chart: Chart, layer: ChartLayer, place: int, source: Source) -> pd.DataFrame:
    """A layer's rows by field, for each measure that it has."""
    table = layer.rows(*source)
    if not len(table):
        return pd.DataFrame()
    measured: list[Axis | None] = [axis for axis in chart.measured if axis.column in table]
    parts = [_layer_of(chart, layer, place, table, axis) for axis in measured or [None]]
    return pd.concat(parts, ignore_index=True).astype(object)


def _layer_of(
    chart: Chart, layer: ChartLayer, place: int, table: pd.DataFrame, axis: Axis | None
) -> pd.DataFrame:
    """A layer's rows of one measure; of none where it is at places of x alone."""
    out = pd.DataFrame({LAYER: place}, index=table.index, dtype=object)
    for name in series_of(chart):
        if name in table:
            out[name] = texts(table[name])
    named = chart.kind == "interval"
    across, up = (axis or chart.x, chart.up) if named else (chart.x, axis or chart.up)
    if across.column in table:
        out["x"] = numbers(table[across.column], across.times)
    if up.column in table:
        out["y"] = texts(table[up.column]) if named else numbers(table[up.column], up.times)
    if layer.ends:
        for end in ENDS:
            out[f"x_{end}"] = numbers(table[f"{layer.ends}_{end}"], chart.x.times)
    if axis and several(chart):
        out[MEASURE] = measure(axis)
    return out


def texts(column: pd.Series) -> pd.Series:
    """Values that tell rows apart, as text."""
    return column.map(text_of).astype(object)


def text_of(value: Any) -> str:
    """A value that tells rows apart, as text."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def numbers(column: pd.Series, times: float = 1.0) -> pd.Series:
    """Values with as many digits as a CSV keeps, so that a chart says what its table says."""
    scaled = times * pd.to_numeric(column).astype(float)
    return scaled.map(lambda value: float(f"{value:.6g}"))


def plain(value: Any) -> Any:
    """A value as JSON holds it: no NaN, no infinity, whole numbers without a point."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if not np.isfinite(value):
            return None
        return int(value) if value == int(value) and abs(value) < 1e15 else float(f"{value:.6g}")
    return value


def values_of(tables: Sequence[pd.DataFrame], column: str) -> tuple[str, ...]:
    """A column's values: numbers and categories in order, others as they first appear."""
    if not column:
        return ()
    found = pd.concat([table[column] for table in tables if column in table]).drop_duplicates()
    if isinstance(found.dtype, pd.CategoricalDtype) or pd.api.types.is_numeric_dtype(found):
        found = found.sort_values()
    return tuple(map(text_of, found))


def kinds_of(tables: Sequence[pd.DataFrame], column: str) -> tuple[str, ...]:
    """The categories of a column, also those that don't occur; of other columns its values."""
    first = tables[0].get(column)
    if first is not None and isinstance(first.dtype, pd.CategoricalDtype):
        return tuple(map(text_of, first.dtype.categories))
    return values_of(tables, column)
