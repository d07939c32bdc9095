"""Charts of the page: what its script needs to draw, to filter and to say in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mdlm_probe.analysis.chart_data import ALL, ChartData, Panel, chart_data
from mdlm_probe.analysis.chart_encodings import Json, PanelSize
from mdlm_probe.analysis.chart_picture import caption, wanted_columns
from mdlm_probe.analysis.chart_rows import Source, plain
from mdlm_probe.analysis.chart_spec import config, panel_spec
from mdlm_probe.analysis.chart_style import PAGE, SHAPES, ChartStyle, LegendEntry, chart_style
from mdlm_probe.analysis.charts import Chart
from mdlm_probe.analysis.frames import records
from mdlm_probe.reports.html import chart_descriptions
from mdlm_probe.reports.html.page_tables import PageTable, interval, number

HEIGHT = 230
"""Pixels of a panel with its axes; its width is the page's."""
AXIS, LEGEND = 52, 50
"""Pixels that the axis below names takes, and the legend of a heat map."""
PATHS = dict(
    zip(
        SHAPES,
        (
            "M3.2 0A3.2 3.2 0 1 1 -3.2 0A3.2 3.2 0 1 1 3.2 0Z",
            "M-2.8 -2.8H2.8V2.8H-2.8Z",
            "M0 -3.6L3.3 2.4H-3.3Z",
            "M0 -3.8L3 0L0 3.8L-3 0Z",
            "M0 3.6L3.3 -2.4H-3.3Z",
            "M-1.2 -3.6H1.2V-1.2H3.6V1.2H1.2V3.6H-1.2V1.2H-3.6V-1.2H-1.2Z",
        ),
        strict=True,
    )
)
"""Vega's marks, about, for the page's legend."""


@dataclass(frozen=True)
class Swatch:
    """A legend's line of the page: what it says, and how its mark is drawn.

    Attributes:
        label: what it says.
        colour: of the mark; "" for the text's own.
        dashes: of its line, as SVG writes them; None where there is no line.
        path: of its point; "" where there is none.
        fill: of its point.
    """

    label: str
    colour: str
    dashes: str | None
    path: str
    fill: str


@dataclass(frozen=True)
class PageChart:
    """A chart that the page can show.

    Attributes:
        chart: what was declared.
        caption: how many values, masks, and what intervals are over.
        table: its rows of all tasks, for those who don't see it.
        legend: what its lines and marks stand for.
        columns: how many panels should stand side by side.
        data: for the page's script: fields, columns, rows by task, panels, specifications.
    """

    chart: Chart
    caption: str
    table: PageTable
    legend: tuple[Swatch, ...]
    columns: int
    data: Json


def page_chart(
    chart: Chart, sources: Mapping[str, Source], models: Sequence[str], masks: str = ""
) -> PageChart | None:
    """A chart with its rows; None where there are none.

    Args:
        chart: what is declared.
        sources: by task; that of all tasks together is `ALL`, and comes first.
        models: all models of the page, in the order of their colours.
        masks: how many masks there were, in words.
    """
    data = chart_data(chart, sources)
    if data is None:
        return None
    style = chart_style(data, models, PAGE)
    specs = [_spec(data, panel, style) for panel in data.panels]
    known = [spec for place, spec in enumerate(specs) if spec not in specs[:place]]
    captions = {task: caption(data, style, masks, task) for task in data.rows}
    found: Json = {
        "fields": list(data.fields),
        "columns": data.columns,
        "rows": {task: _plain(rows, data.fields) for task, rows in data.rows.items()},
        "captions": captions,
        "panels": [
            {
                "title": panel.title,
                "where": panel.where,
                "words": chart_descriptions.words(data, panel),
                "spec": known.index(spec),
            }
            for panel, spec in zip(data.panels, specs, strict=True)
        ],
        "specs": known,
    }
    if chart.kind != "heat":
        found["ends"] = {
            task: [_ends(data, panel, task) for panel in data.panels] for task in data.rows
        }
    legend = tuple(_swatch(entry) for entry in style.legend)
    across = wanted_columns(data)
    return PageChart(data.chart, captions[ALL], _table(data), legend, across, found)


def _spec(data: ChartData, panel: Panel, style: ChartStyle) -> Json:
    spec = panel_spec(data, panel, style, PanelSize(None, _height(data, panel, style)))
    inner = config(style) | {"autosize": {"type": "fit", "contains": "padding"}}
    return spec | {"config": inner}


def _height(data: ChartData, panel: Panel, style: ChartStyle) -> int:
    rows = len(data.labels_of(panel))
    if data.chart.kind == "interval":
        many = max(1, len(style.colours)) if data.chart.colour not in data.chart.panels else 1
        return max(160, round(max(22, 13 * max(many, len(style.dashes))) * rows) + AXIS)
    if data.chart.kind == "heat":
        return max(120, min(24 * rows, 260)) + AXIS + LEGEND
    return HEIGHT


def _ends(data: ChartData, panel: Panel, task: str) -> list[float]:
    across, up = data.limits(panel, task)
    return [*across, *up]


def _plain(rows: pd.DataFrame, fields: Sequence[str]) -> list[list[Any]]:
    rows = rows.reindex(columns=list(fields))
    return [[plain(value) for value in row] for row in rows.itertuples(index=False, name=None)]


def _swatch(entry: LegendEntry) -> Swatch:
    dashes = " ".join(map(str, entry.dash)) if entry.dash else None
    colour = entry.colour or "currentColor"
    fill = "none" if entry.hollow else colour
    return Swatch(entry.label, colour, dashes, PATHS.get(entry.shape, ""), fill)


def _table(data: ChartData) -> PageTable:
    rows = data.own()
    kept = [
        (str(row.get("model", "")), tuple(_cell(row, names) for _, names in data.columns))
        for row in ({k: plain(v) for k, v in one.items()} for one in records(rows))
    ]
    numbers = [_numeric(rows[names[0]]) for _, names in data.columns]
    heads = tuple(title for title, _ in data.columns)
    return PageTable(data.chart.title, heads, tuple(kept), tuple(numbers))


def _numeric(column: pd.Series) -> bool:
    known = column.dropna()
    return bool(len(known)) and all(isinstance(value, int | float) for value in known.map(plain))


def _cell(row: Mapping[str, Any], names: Sequence[str]) -> str:
    if len(names) == 2:
        return interval(*(None if row[n] is None else float(row[n]) for n in names))
    value = row[names[0]]
    return number(float(value) if isinstance(value, int) else value)
