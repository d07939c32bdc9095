"""Which shares of a report's tables are in percent, on the page and the terminal: as in charts."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart
from mdlm_probe.analysis.tables import PERCENT, POINTS, UNITS_OF_ANALYSIS, WHOLE
from mdlm_probe.core import catalog
from mdlm_probe.core.contract import value
from mdlm_probe.reports.exports.column_units import unit_of


def in_percent(probe: str, name: str, table: pd.DataFrame) -> dict[str, str]:
    """The columns of a table that a chart of the probe has in percent, and their units there.

    A column that goes below 0 is one of differences, in points. Intervals over items and tasks are
    of such a column where there is one; their heads name no unit.
    """
    shown = _shares(probe)
    found = {
        column: POINTS if (table[column] < 0).any() else PERCENT
        for column in map(str, table.columns)
        if column.partition(" ")[0] in shown
        and not unit_of(probe, name, column)
        and pd.api.types.is_numeric_dtype(table[column])
    }
    return found | dict.fromkeys(UNITS_OF_ANALYSIS, "") if found else found


def _shares(probe: str) -> set[str]:
    """Columns that the charts of a probe show in percent."""
    charts: tuple[Chart, ...] = value("charts", catalog.charts(probe), "CHARTS")
    axes = [axis for chart in charts for axis in _axes(chart)]
    return {axis.column for axis in axes if axis.times == WHOLE and "%" in axis.title}


def _axes(chart: Chart) -> list[Axis]:
    up = chart.y if isinstance(chart.y, tuple) else (chart.y,)
    return [axis for axis in (chart.x, *up, chart.fill) if axis]
