"""Shares of a report's tables in percent on the page, as its charts show them."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart
from mdlm_probe.analysis.tables import UNITS_OF_ANALYSIS
from mdlm_probe.core import catalog
from mdlm_probe.core.contract import value
from mdlm_probe.reports.exports.column_units import unit_of

WHOLE = 100
ENDS = ("low", "high")


def in_percent(probe: str, name: str, table: pd.DataFrame) -> pd.DataFrame:
    """A table with the columns in percent that a chart of the probe has in percent.

    Their heads say so; a column that goes below 0 is one of differences, in points. Intervals over
    items and tasks are of such a column where there is one.
    """
    shown = _shares(probe)
    scaled = {
        column: f"{column} ({'points' if (table[column] < 0).any() else '%'})"
        for column in map(str, table.columns)
        if column.partition(" ")[0] in shown
        and not unit_of(probe, name, column)
        and pd.api.types.is_numeric_dtype(table[column])
    }
    if not scaled:
        return table
    ends = {f"{column}_{end}": f"{head}_{end}" for column, head in scaled.items() for end in ENDS}
    over = {f"{unit}_{end}": f"{unit}_{end}" for unit in UNITS_OF_ANALYSIS for end in ENDS}
    heads = {column: head for column, head in (scaled | ends | over).items() if column in table}
    return table.assign(**{column: WHOLE * table[column] for column in heads}).rename(columns=heads)


def _shares(probe: str) -> set[str]:
    """Columns that the charts of a probe show in percent."""
    charts: tuple[Chart, ...] = value("charts", catalog.charts(probe), "CHARTS")
    axes = [axis for chart in charts for axis in _axes(chart)]
    return {axis.column for axis in axes if axis.times == WHOLE and "%" in axis.title}


def _axes(chart: Chart) -> list[Axis]:
    up = chart.y if isinstance(chart.y, tuple) else (chart.y,)
    return [axis for axis in (chart.x, *up, chart.fill) if axis]
