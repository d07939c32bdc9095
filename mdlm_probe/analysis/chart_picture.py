"""A whole chart as one Vega-Lite specification: title, panels side by side, legend, numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mdlm_probe.analysis.chart_data import ALL, ChartData, Panel
from mdlm_probe.analysis.chart_encodings import Json, PanelSize
from mdlm_probe.analysis.chart_legend import LINE, legend_spec
from mdlm_probe.analysis.chart_rows import plain
from mdlm_probe.analysis.chart_spec import PADDING, SCHEMA, config, panel_spec
from mdlm_probe.analysis.chart_style import ChartStyle
from mdlm_probe.analysis.charts import MEASURE
from mdlm_probe.analysis.frames import records
from mdlm_probe.analysis.text_width import balanced, width, wrapped

MARK_WORDS = {"line": "bands", "points": "bars", "interval": "bars"}


@dataclass(frozen=True)
class PictureSize:
    """The room of a whole picture.

    Attributes:
        width: of all of it.
        least: width of a panel's plot.
        most: width of a panel's plot.
        apart: between panels.
    """

    width: float
    least: float
    most: float
    apart: float


WHOLE = PictureSize(width=760, least=170, most=460, apart=18)
"""On a screen, in pixels."""


def caption(data: ChartData, style: ChartStyle, masks: str = "", task: str = ALL) -> str:
    """How many values it is over, how many masks there were, and what its intervals are over."""
    parts = [data.counted(task), f"masks: {masks}" if masks else ""]
    if over := data.over(task):
        word = MARK_WORDS.get(data.chart.kind)
        word = "bars" if word == "bands" and style.crowded else word
        parts.append(f"{word}: 95 % over {over}" if word else "")
    return "; ".join(filter(None, (*parts, data.chart.note)))


def picture(
    data: ChartData,
    style: ChartStyle,
    masks: str = "",
    size: PictureSize = WHOLE,
    plot: float | None = None,
) -> Json:
    """A chart as it stands in a file: complete, with its rows.

    Args:
        data, style: what is drawn, and how.
        masks: how many masks there were, in words.
        size: the room for it.
        plot: width of a panel's plot; None: an estimate that fits, about.
    """
    theme = style.theme
    across = columns(data, style, size)
    plot = plot_width(data, style, size, across) if plot is None else plot
    panels = [_panel(data, style, place, across, plot) for place in range(len(data.panels))]
    room = 0.98 * (size.width - 2 * PADDING)
    parts: list[Json] = [{"concat": panels, "columns": across, "spacing": size.apart}]
    if style.legend:
        parts.append(legend_spec(style, room - _left(data, style)))
    said = caption(data, style, masks)
    return {
        "$schema": SCHEMA,
        "title": {
            "text": wrapped(data.chart.title, theme.title, room),
            "subtitle": wrapped(said, theme.text, room),
            "anchor": "start",
            "frame": "bounds",
            "offset": theme.text,
            "limit": 0,
        },
        "vconcat": parts,
        "spacing": theme.text,
        "config": config(style) | {"aria": False},
    }


def columns(data: ChartData, style: ChartStyle, size: PictureSize) -> int:
    """How many panels stand side by side: as many as measures or values of the last column."""
    wanted, least = wanted_columns(data), _least(data, style, size)
    left = _left(data, style)
    each = least + size.apart + (left if _own_labels(data) else 0.0)
    room = size.width - (0.0 if _own_labels(data) else left) + size.apart
    fits = int(room // each)
    if wanted <= max(fits, 1):
        return wanted
    count = wanted if _own_labels(data) else len(data.panels)
    return next(n for n in range(max(fits, 1), 0, -1) if count % n == 0)


def wanted_columns(data: ChartData) -> int:
    """How many panels should stand side by side, where there is room for them."""
    names = [*data.chart.panels, *((MEASURE,) if isinstance(data.chart.y, tuple) else ())]
    counts = [len({panel.where[name] for panel in data.panels}) for name in names]
    several = [count for count in counts if count > 1]
    count = len(data.panels)
    if data.chart.kind == "interval" and MEASURE in names:
        return 1  # labels of their own
    if len(several) > 1 and math.prod(several) == count:
        return several[-1]
    return count if count <= 3 else 2 if count == 4 else 3


def _least(data: ChartData, style: ChartStyle, size: PictureSize) -> float:
    """The least width of a plot: a heat map's numbers need room in their cells."""
    return max(size.least, _cells(data, style))


def _cells(data: ChartData, style: ChartStyle) -> float:
    if data.chart.kind != "heat" or not data.chart.colours.numbers:
        return 0.0
    return len(data.labels[0]) * width("-100", style.theme.text)


def plot_width(data: ChartData, style: ChartStyle, size: PictureSize, across: int) -> float:
    """The width of a plot that makes the picture as wide as it should be, about."""
    beside = (across - 1) * size.apart
    if _own_labels(data):
        beside += (across - 1) * _left(data, style)
    room = size.width - _left(data, style) - beside - style.theme.text
    return max(_cells(data, style), min(size.most, room / across))


def _own_labels(data: ChartData) -> bool:
    """Whether panels that stand side by side measure different things."""
    return isinstance(data.chart.y, tuple) and len(data.chart.y) > 1


def _left(data: ChartData, style: ChartStyle) -> float:
    """The room for the labels and the title left of a plot, about."""
    text = style.theme.text
    labels = data.labels[1] or ("0.00",)
    return max(width(label, text) for label in labels) + 2.6 * text


def _panel(data: ChartData, style: ChartStyle, place: int, across: int, plot: float) -> Json:
    panel, theme = data.panels[place], style.theme
    text = theme.text
    size = _panel_size(data, style, place, across, plot)
    found = panel_spec(data, panel, style, size, data.limits(panel))
    found["data"] = {"values": _values(data, panel)}
    if panel.title:
        found["layer"].append(_heading(balanced(panel.title, text, plot), text, theme.ink, plot))
    return found


def _heading(lines: list[str], text: float, ink: str, plot: float) -> Json:
    """A panel's title as a mark above its plot: Vega's own stand at different heights."""
    mark: Json = {"type": "text", "align": "center", "baseline": "bottom", "fontSize": text}
    mark |= {"x": round(plot / 2, 2), "y": round(-0.45 * text - LINE * text * (len(lines) - 1), 2)}
    mark |= {"lineHeight": LINE * text, "color": ink, "limit": 0, "text": lines}
    return {"data": {"values": [{}]}, "mark": mark}


def _panel_size(
    data: ChartData, style: ChartStyle, place: int, across: int, plot: float
) -> PanelSize:
    panels, kind = data.panels, data.chart.kind
    first, last = place % across == 0, place + across >= len(panels)
    same_left = not first and panels[place - 1].axis == panels[place].axis
    below = None if last else panels[place + across]
    named = kind in ("interval", "heat")
    same_below = below is not None and (
        kind != "interval"
        or (below.axis == panels[place].axis and MEASURE not in data.chart.panels)
    )
    left = same_left or (named and not first and MEASURE not in data.chart.panels)
    return PanelSize(
        width=round(plot, 2),
        height=_height(data, style, panels[place], plot, across),
        x_title=not same_below,
        x_labels=not same_below,
        y_title=not left,
        y_labels=not left,
    )


def _height(data: ChartData, style: ChartStyle, panel: Panel, plot: float, across: int) -> float:
    text = style.theme.text
    if data.chart.kind == "heat":
        rows = len(data.labels[1])
        if data.chart.colours.numbers:
            return round(1.7 * text * rows, 1)
        return round(min(plot, max(0.75 * plot, text * rows)), 1)
    if data.chart.kind == "interval":
        many = max(1, len(style.colours)) if data.chart.colour not in data.chart.panels else 1
        many = max(many, len(style.dashes) or 1)
        return round(text * max(1.7, 0.75 * many) * len(data.labels_of(panel)), 1)
    ratio = 0.62 if len(data.panels) <= 2 * across else 0.5
    return round(min(max(ratio * plot, 11 * text), 20 * text), 1)


def _values(data: ChartData, panel: Panel) -> list[dict[str, Any]]:
    """A panel's rows as JSON holds them."""
    rows = data.of(panel).drop(columns=list(panel.where), errors="ignore")
    return [
        {name: known for name, value in row.items() if (known := plain(value)) is not None}
        for row in records(rows)
    ]
