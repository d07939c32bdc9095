"""What a chart's marks have in common: axes, and what tells lines apart, as Vega-Lite encodings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mdlm_probe.analysis.axis_limits import Limits, bent_ticks
from mdlm_probe.analysis.chart_data import ALL, ChartData, Panel
from mdlm_probe.analysis.chart_rows import LAYER
from mdlm_probe.analysis.chart_style import ChartStyle, Theme
from mdlm_probe.analysis.charts import Axis, Chart
from mdlm_probe.analysis.text_width import balanced

Json = dict[str, Any]

ENDS = ("x_low", "x_high", "y_low", "y_high")
"""Parameters by which a page sets the ends of the axes."""
NUMBER = ".6~g"
SMALL = 0.001
"""Numbers of bent axes that are nearer to 0 are written with an exponent."""
NAMES = 150
"""Pixels of a name up the side of a page's panel."""


@dataclass(frozen=True)
class PanelSize:
    """The room of a panel, and what is written at its edges.

    Attributes:
        width, height: of the plot; a width of None is that of the page's column.
        x_title, y_title, x_labels, y_labels: whether they are written: a neighbour may say it.
    """

    width: float | None
    height: float
    x_title: bool = True
    y_title: bool = True
    x_labels: bool = True
    y_labels: bool = True


@dataclass(frozen=True)
class DrawnPanel:
    """A panel with all that its marks need.

    Attributes:
        data, panel, style, size: what is drawn, how, and in which room.
        limits: the ends of its axes; None: a page sets the parameters `ENDS`, and can zoom.
    """

    data: ChartData
    panel: Panel
    style: ChartStyle
    size: PanelSize
    limits: tuple[Limits, Limits] | None

    @property
    def chart(self) -> Chart:
        """What was declared."""
        return self.data.chart

    @property
    def theme(self) -> Theme:
        """Inks and sizes."""
        return self.style.theme

    @property
    def interactive(self) -> bool:
        """Whether a page draws it."""
        return self.limits is None

    @property
    def whole(self) -> tuple[Limits, Limits]:
        """The ends of the axes, of all tasks together."""
        return self.data.limits(self.panel)

    def end(self, name: str) -> Any:
        """An end of an axis: a parameter of the page, or a number."""
        return {"expr": name} if self.interactive else self._number(name)

    def said(self, name: str) -> str:
        """An end of an axis within an expression."""
        return name if self.interactive else repr(self._number(name))

    def _number(self, name: str) -> float:
        assert self.limits
        place = ENDS.index(name)
        return self.limits[place // 2][place % 2]

    def has_layer(self, place: int) -> bool:
        """Whether the panel has rows of one of the chart's layers."""
        if LAYER not in self.data.rows[ALL]:
            return False
        return bool((self.data.of(self.panel)[LAYER] == place).any())

    def own(self, *tests: str) -> list[Json]:
        """Only the chart's own rows, of which all of this is true."""
        tests = (f"!isValid(datum.{LAYER})", *tests) if LAYER in self.data.rows[ALL] else tests
        return [{"filter": " && ".join(tests)}] if tests else []


def layer_rows(place: int, *tests: str) -> list[Json]:
    """Only the rows of a layer, of which all of this is true."""
    return [{"filter": " && ".join((f"datum.{LAYER} === {place}", *tests))}]


# ---------------------------------------------------------------------- axes


def across(drawn: DrawnPanel, field: str = "x") -> Json:
    """The horizontal axis of numbers."""
    chart, size = drawn.chart, drawn.size
    interval = chart.kind == "interval"
    axis = drawn.panel.axis if interval else chart.x
    room = size.width
    title = _title(drawn, axis.title, room) if size.x_title else None
    ticks = _ticks(axis, drawn.whole[0], () if interval else drawn.data.ticks)
    ends = (drawn.end("x_low"), drawn.end("x_high"))
    return _encoding(field, title, _scale(axis, ends), ticks, size.x_labels)


def up(drawn: DrawnPanel, field: str = "y") -> Json:
    """The vertical axis of numbers."""
    axis, size = drawn.panel.axis, drawn.size
    title = _title(drawn, axis.title, _room_up(size)) if size.y_title else None
    ends = (drawn.end("y_low"), drawn.end("y_high"))
    ticks = _ticks(axis, drawn.whole[1])
    return _encoding(field, title, _scale(axis, ends), ticks, size.y_labels)


def names_up(drawn: DrawnPanel) -> Json:
    """The vertical axis of names, the first one on top."""
    size, title = drawn.size, drawn.chart.up.title
    axis: Json = {"grid": False, "labelLimit": 0 if size.width else NAMES}
    return {
        "field": "y",
        "type": "nominal",
        "title": title if size.y_title and title else None,
        "scale": {"domain": list(drawn.data.labels_of(drawn.panel))},
        "axis": axis | ({} if size.y_labels else {"labels": False}),
    }


def cells(
    drawn: DrawnPanel, channel: str, names: Sequence[str], limits: Limits, field: str
) -> Json:
    """An axis whose ticks stand at whole numbers and say the names at these places."""
    size = drawn.size
    first = channel == "x"
    axis = drawn.chart.x if first else drawn.chart.up
    shown = size.x_title if first else size.y_title
    room = size.width if first else _room_up(size)
    ticks = {
        "values": list(range(len(names))),
        "grid": False,
        "labelExpr": f"{expression_list(names)}[datum.value] || ''",
    }
    title = _title(drawn, axis.title, room) if shown else None
    scale = {"domain": list(limits), "nice": False, "zero": False}
    return _encoding(field, title, scale, ticks, size.x_labels if first else size.y_labels)


def expression_list(names: Sequence[str]) -> str:
    """Names as a list within an expression."""
    safe = (name.replace("\\", "\\\\").replace("'", "\\'") for name in names)
    return "[" + ", ".join(f"'{name}'" for name in safe) + "]"


def _encoding(
    field: str, title: list[str] | str | None, scale: Json, ticks: Json, labels: bool
) -> Json:
    found = {"field": field, "type": "quantitative", "title": title, "scale": scale}
    return found | {"axis": ticks | ({} if labels else {"labels": False})}


def _scale(axis: Axis, ends: Sequence[Any]) -> Json:
    found: Json = {"domain": list(ends), "nice": False}
    if axis.scale == "linear":
        return found | {"zero": False}
    found = {"type": axis.scale, **found}
    return found | ({"constant": axis.knee} if axis.scale == "symlog" else {})


def _ticks(axis: Axis, limits: Limits, values: Sequence[float] = ()) -> Json:
    if not values and axis.scale == "linear":
        return {"tickCount": 6, "format": NUMBER}
    small = f"datum.value !== 0 && abs(datum.value) < {SMALL} ? '.0e' : '{NUMBER}'"
    label = f"format(datum.value, {small})"
    return {"values": list(values or bent_ticks(axis, limits)), "labelExpr": label}


def _room_up(size: PanelSize) -> float:
    """The room of a vertical title: a page's height has the horizontal axis in it, too."""
    return (0.75 if size.width is None else 1.1) * size.height


def _title(drawn: DrawnPanel, title: str, room: float | None) -> list[str] | str:
    """An axis' title, in as many lines as it takes."""
    lines = [title] if room is None else balanced(title, drawn.theme.text, room)
    return lines if len(lines) > 1 else lines[0]


# ---------------------------------------------------------------------- what tells lines apart


def colour(drawn: DrawnPanel) -> Json:
    """The colour, of the model or the category."""
    name, colours = drawn.chart.colour, drawn.style.colours
    if not name:
        return {"value": drawn.theme.ink}
    return _told(name, list(colours), list(colours.values()))


def dash(drawn: DrawnPanel) -> Json:
    """The dashes, where there are several."""
    dashes = drawn.style.dashes
    values = [list(one) for one in dashes.values()]
    return {"strokeDash": _told(drawn.chart.dash, list(dashes), values)} if dashes else {}


def shape(drawn: DrawnPanel) -> Json:
    """The marks, where there are several."""
    style = drawn.style
    values = list(style.shapes.values())
    return {"shape": _told(style.shaped, list(style.shapes), values)} if values else {}


def detail(drawn: DrawnPanel) -> Json:
    """Keeps what differs in dashes only apart, where nothing is dashed."""
    name = drawn.chart.dash
    return {"detail": {"field": name, "type": "nominal"}} if name else {}


def apart(drawn: DrawnPanel) -> Json:
    """Puts what has another colour, or another mark, beside instead of over each other."""
    chart, style = drawn.chart, drawn.style
    name, values = chart.colour, list(style.colours)
    if style.dashes and (name in chart.panels or len(values) < 2):
        name, values = chart.dash, list(style.dashes)
    rows = drawn.data.own()
    alone = not rows.duplicated([*drawn.panel.where, "y"]).any()
    if not name or name in chart.panels or len(values) < 2 or alone:
        return {}
    return {"yOffset": {"field": name, "type": "nominal", "scale": {"domain": values}}}


def _told(field: str, domain: list[str], shown: list[Any]) -> Json:
    scale = {"domain": domain, "range": shown}
    return {"field": field, "type": "nominal", "scale": scale, "legend": None}
