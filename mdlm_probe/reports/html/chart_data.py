"""Charts with their rows: what the page's script needs to draw, to filter and to say in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import charts
from mdlm_probe.analysis.charts import MEASURE, Chart, ChartStyle
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.reports.html import chart_descriptions, chart_style, vega_specs
from mdlm_probe.reports.html.page_tables import PageTable, interval, number

Source = tuple[Tables, pd.DataFrame]
"""A report's tables, and the rows they were made of."""
Json = dict[str, Any]

ALL = ""
"""The name of all tasks together."""
ALONE = ("model", "task", "set", MEASURE)
"""Columns whose values say by themselves what they are."""


@dataclass(frozen=True)
class DrawnChart:
    """A chart that the page can show.

    Attributes:
        chart: what was declared.
        table: its rows of all tasks, for those who don't see it.
        legend: the label, the colour and the dashes of each kind of line.
        data: for the page's script: fields, columns, rows by task, panels, the specification.
    """

    chart: Chart
    table: PageTable
    legend: tuple[tuple[str, str, str], ...]
    data: Json


def drawn(
    chart: Chart, sources: Mapping[str, Source], models: Mapping[str, str]
) -> DrawnChart | None:
    """A chart with its rows; None where there are none.

    Args:
        chart: what is declared.
        sources: by task; that of all tasks together is `ALL`, and comes first.
        models: the colours of all models of the page.
    """
    tables = {
        task: frame.reset_index(drop=True)
        for task, (found, rows) in sources.items()
        if len(frame := _wanted(chart, chart.rows(found, rows)))
    }
    if ALL not in tables:
        return None
    whole = tables[ALL]
    known = tuple(b for b in chart.beside if b[0] in whole and whole[b[0]].notna().any())
    chart = replace(chart, beside=known)
    series = _series(chart)
    look = chart_style.look(chart, list(tables.values()), models)
    columns = _columns(chart, whole, series)
    fields = list(dict.fromkeys(name for _, names in columns for name in names))
    rows = {task: _rows(chart, table, look)[fields] for task, table in tables.items()}
    if not rows[ALL][_value(chart)].notna().any():
        return None
    panels = [
        {
            "title": title,
            "where": where,
            "words": chart_descriptions.words(chart, title, chart_style.rows_of(rows[ALL], where)),
        }
        for title, where in _panels(chart, whole)
    ]
    data: Json = {
        "kind": chart.kind,
        "fields": fields,
        "columns": columns,
        "rows": {task: _plain(table) for task, table in rows.items()},
        "panels": panels,
        "spec": vega_specs.spec(chart, look),
    }
    if chart.kind == "heat":
        data |= {"across": look.across, "up": look.up}
    else:
        data["ends"] = {
            task: [chart_style.ends(chart, table, panel["where"]) for panel in panels]
            for task, table in rows.items()
        }
    return DrawnChart(chart, _table(chart, rows[ALL], columns), _legend(chart, look), data)


def _wanted(chart: Chart, table: pd.DataFrame) -> pd.DataFrame:
    value = (chart.fill or chart.y).column
    return table if len(table) and value in table else pd.DataFrame()


def _value(chart: Chart) -> str:
    return "fill" if chart.kind == "heat" else "y"


def _series(chart: Chart) -> list[str]:
    """The columns that tell rows apart, the model first."""
    names = [*chart.panels, chart.colour, chart.dash]
    return list(dict.fromkeys(sorted(filter(None, names), key=lambda name: name != "model")))


def _columns(chart: Chart, table: pd.DataFrame, series: list[str]) -> list[tuple[str, list[str]]]:
    """The columns of the table beneath the chart: a title, and a field or an interval's two."""
    names = dict(chart.names)
    shown_axes = [("x", chart.x.title), ("y", chart.y.title)]
    if chart.fill:
        shown_axes.append(("fill", chart.fill.title))
    found = [(names.get(name) or name, [name]) for name in series if name not in _axes(chart)]
    found += [(title, [field]) for field, title in shown_axes]
    if (chart.fill or chart.y).ends:
        found.append(("95 %", [*chart_style.ENDS]))
    found += [(title, [f"beside_{i}"]) for i, (_, title) in enumerate(chart.beside)]
    found += [(names.get(name) or name, [name]) for name in chart.more if name in table]
    return found


def _axes(chart: Chart) -> tuple[str, str]:
    return chart.x.column, chart.y.column if chart.kind == "heat" else ""


def _rows(chart: Chart, table: pd.DataFrame, look: ChartStyle) -> pd.DataFrame:
    """The fields of a chart's rows; numbers as they are shown."""
    out = table.copy()
    for name in {*_series(chart)}:
        out[name] = table[name].map(chart_style.text_of)
    measured = chart.fill or chart.y
    for field, axis in (("x", chart.x), ("y", chart.y), ("fill", chart.fill)):
        if axis is None:
            continue
        labels = (chart.kind == "heat" and field != "fill") or (
            chart.kind == "interval" and field == "x"
        )
        column = table[axis.column]
        out[field] = column.map(chart_style.text_of) if labels else _number(column, axis.times)
    for end in chart_style.ENDS if measured.ends else ():
        out[end] = _number(table[f"{measured.ends}_{end}"], measured.times)
    for i, (name, _) in enumerate(chart.beside):
        out[f"beside_{i}"] = _number(table[name], measured.times)
    return out


def _number(column: pd.Series, times: float) -> pd.Series:
    """Values with as many digits as a CSV keeps, so that a chart says what its table says."""
    scaled = times * pd.to_numeric(column).astype(float)
    return scaled.map(lambda value: float(f"{value:.6g}"))


def _panels(chart: Chart, table: pd.DataFrame) -> list[tuple[str, dict[str, str]]]:
    """The title of each panel, and the values of its rows."""
    if not chart.panels:
        return [("", {})]
    names = dict(chart.names)
    found = []
    ordered = [n for n in chart.panels if isinstance(table[n].dtype, pd.CategoricalDtype)]
    kinds = table[list(chart.panels)].drop_duplicates()
    if ordered:
        kinds = kinds.sort_values(ordered, kind="stable")
    for values in kinds.itertuples(index=False):
        where = dict(zip(chart.panels, map(chart_style.text_of, values), strict=True))
        several = [name for name in where if len(chart.panels) == 1 or table[name].nunique() > 1]
        parts = [
            where[name] if name in ALONE else f"{names.get(name, name)} {where[name]}".strip()
            for name in several or chart.panels
            if where[name]
        ]
        found.append((", ".join(parts), where))
    return found


def _plain(rows: pd.DataFrame) -> list[list[Any]]:
    return [[_json(value) for value in row] for row in rows.itertuples(index=False, name=None)]


def _json(value: Any) -> Any:
    """A value as JSON holds it: no NaN, no infinity, whole numbers without a point."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value == int(value) and abs(value) < 1e15 else float(f"{value:.6g}")
    return value


def _table(chart: Chart, rows: pd.DataFrame, columns: list[tuple[str, list[str]]]) -> PageTable:
    kept = [
        (str(row.get("model", "")), tuple(_cell(row, names) for _, names in columns))
        for row in ({k: _json(v) for k, v in r.items()} for r in rows.to_dict("records"))
    ]
    numbers = [pd.api.types.is_numeric_dtype(rows[names[0]]) for _, names in columns]
    return PageTable(chart.title, tuple(title for title, _ in columns), tuple(kept), tuple(numbers))


def _cell(row: Mapping[str, Any], names: list[str]) -> str:
    if len(names) == 2:
        return interval(*(None if row[n] is None else float(row[n]) for n in names))
    value = row[names[0]]
    return number(float(value) if isinstance(value, int) else value)


def _legend(chart: Chart, look: ChartStyle) -> tuple[tuple[str, str, str], ...]:
    """Labels with their colours and dashes."""
    if chart.kind == "heat":
        return ()
    names = dict(chart.names)
    dashes = [" ".join(map(str, dash)) for dash in charts.DASHES]
    found = [(value, colour, "") for value, colour in look.colours.items()]
    kinds = look.dashes if len(look.dashes) > 1 else ()
    found += [
        (f"{names.get(chart.dash, chart.dash)} {value}".strip(), "", dashes[i % len(dashes)])
        for i, value in enumerate(kinds)
    ]
    found += [
        (title, "var(--beside)", dashes[1 + i % (len(dashes) - 1)])
        for i, (_, title) in enumerate(chart.beside)
    ]
    return tuple(found)
