"""A panel of a chart as a Vega-Lite specification: the same for the page and for files.

A specification holds no rows. In a page the ends of the axes are parameters, so that they can be
set when a task is picked; in a file they are numbers.
"""

from __future__ import annotations

from mdlm_probe.analysis.axis_limits import Limits
from mdlm_probe.analysis.chart_data import ChartData, Panel
from mdlm_probe.analysis.chart_encodings import ENDS, DrawnPanel, Json, PanelSize
from mdlm_probe.analysis.chart_marks import marks
from mdlm_probe.analysis.chart_style import ChartStyle

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
ROWS = "rows"
"""The name under which a page hands a specification its rows."""
PADDING = 4
"""Around a picture."""
WHEEL = "wheel![event.ctrlKey || event.metaKey || event.shiftKey]"
"""A bare wheel scrolls the page."""


def panel_spec(
    data: ChartData,
    panel: Panel,
    style: ChartStyle,
    size: PanelSize,
    limits: tuple[Limits, Limits] | None = None,
) -> Json:
    """A panel's marks, without its rows.

    Rows have the fields x, y, low, high, fill (numbers), beside_0, ..., and those of the columns
    that tell them apart; of heat maps x and y, of intervals y, are names.

    Args:
        data, panel, style: what is drawn, and how.
        size: its room.
        limits: the ends of its axes; None: a page sets the parameters `ENDS`, and can zoom.
    """
    layers = marks(DrawnPanel(data, panel, style, size, limits))
    found: Json = {"layer": layers, "height": size.height}
    found["width"] = "container" if size.width is None else size.width
    heat, grid = data.chart.kind == "heat", style.theme.grid
    if heat:  # what it has no value of is grey
        found["view"] = {"fill": grid, "stroke": grid}
    if limits is None:
        for layer in layers:
            layer["data"] = {"name": ROWS}
        layers[0 if heat else -1]["params"] = [_zoom(data)]
        if not heat:
            found["params"] = [{"name": name, "value": at % 2} for at, name in enumerate(ENDS)]
    return found


def _zoom(data: ChartData) -> Json:
    encodings = ["x"] if data.chart.kind == "interval" else ["x", "y"]
    select = {"type": "interval", "zoom": WHEEL, "encodings": encodings, "clear": "dblclick"}
    return {"name": "zoom", "select": select, "bind": "scales"}


def config(style: ChartStyle) -> Json:
    """The inks and sizes of a theme."""
    theme = style.theme
    written = {
        "labelColor": theme.ink,
        "titleColor": theme.ink,
        "labelFontSize": theme.text,
        "titleFontSize": theme.text,
        "titleFontWeight": "normal",
    }
    return {
        "background": theme.background,
        "font": theme.font,
        "padding": PADDING,
        "view": {"stroke": theme.grid, "fill": "transparent"},
        "axis": {
            **written,
            "gridColor": theme.grid,
            "gridWidth": 0.6,
            "domainColor": theme.grid,
            "tickColor": theme.grid,
            "tickSize": 3,
            "titlePadding": 4,
            "labelOverlap": "greedy",
            "labelSeparation": 3,
        },
        "legend": {**written, "titleLimit": 0},
        "title": {
            "color": theme.ink,
            "subtitleColor": theme.soft,
            "fontSize": theme.title,
            "subtitleFontSize": theme.text,
            "fontWeight": "normal",
            "subtitleFontWeight": "normal",
        },
        "text": {"fontSize": theme.text},
    }
