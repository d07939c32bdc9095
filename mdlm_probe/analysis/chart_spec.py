"""A panel of a chart as a Vega-Lite specification: the same for the page and for files.

A specification holds no rows. In a page the ends of the axes are parameters, so that they can be
set when a task is picked; in a file they are numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mdlm_probe.analysis.chart_data import LAYER, ChartData, Limits, Panel
from mdlm_probe.analysis.chart_style import ChartStyle, beside_dash, layer_dash, layer_shape
from mdlm_probe.analysis.charts import Axis, Chart, ChartLayer
from mdlm_probe.analysis.text_width import balanced

Json = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
ROWS = "rows"
"""The name of the rows' data set."""
ENDS = ("x_low", "x_high", "y_low", "y_high")
"""Parameters by which a page sets the ends of the axes."""
NUMBER = ".6~g"
TICKS = 8
"""Of an axis that isn't linear, at most."""
WHEEL = "wheel![event.ctrlKey || event.metaKey || event.shiftKey]"
"""A bare wheel scrolls the page."""


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
class _Drawn:
    """All that a panel's marks need."""

    data: ChartData
    panel: Panel
    style: ChartStyle
    size: PanelSize
    limits: tuple[Limits, Limits] | None

    @property
    def chart(self) -> Chart:
        return self.data.chart

    @property
    def whole(self) -> tuple[Limits, Limits]:
        """The ends of the axes, of all tasks together."""
        return self.data.limits(self.panel)

    @property
    def interactive(self) -> bool:
        return self.limits is None

    def end(self, name: str) -> Any:
        """An end of an axis: a parameter of the page, or a number."""
        place = ENDS.index(name)
        return {"expr": name} if self.limits is None else self.limits[place // 2][place % 2]

    def said(self, name: str) -> str:
        """An end of an axis within an expression."""
        place = ENDS.index(name)
        return name if self.limits is None else repr(self.limits[place // 2][place % 2])


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
    drawn = _Drawn(data, panel, style, size, limits)
    draw = {"line": _line, "points": _points, "interval": _interval, "heat": _heat}
    layers = [_named(layer) for layer in draw[data.chart.kind](drawn)]
    found: Json = {"layer": layers, "height": size.height}
    found["width"] = "container" if size.width is None else size.width
    if data.chart.kind == "heat":  # what it has no value of is grey
        found["view"] = {"fill": style.theme.grid, "stroke": style.theme.grid}
    if drawn.interactive:
        zoomed = ["x"] if data.chart.kind == "interval" else ["x", "y"]
        main = layers[0 if data.chart.kind == "heat" else -1]
        main["params"] = [
            {
                "name": "zoom",
                "select": {
                    "type": "interval",
                    "zoom": WHEEL,
                    "encodings": zoomed,
                    "clear": "dblclick",
                },
                "bind": "scales",
            }
        ]
        if data.chart.kind != "heat":
            found["params"] = [{"name": name, "value": at % 2} for at, name in enumerate(ENDS)]
    return found


def config(style: ChartStyle) -> Json:
    """The inks and sizes of a theme."""
    theme = style.theme
    return {
        "background": "transparent" if theme.ground.startswith("var") else theme.ground,
        "font": theme.font,
        "padding": 4,
        "view": {"stroke": theme.grid, "fill": "transparent"},
        "axis": {
            "labelColor": theme.ink,
            "titleColor": theme.ink,
            "gridColor": theme.grid,
            "gridWidth": 0.6,
            "domainColor": theme.grid,
            "tickColor": theme.grid,
            "tickSize": 3,
            "labelFontSize": theme.text,
            "titleFontSize": theme.text,
            "titleFontWeight": "normal",
            "titlePadding": 4,
            "labelOverlap": "greedy",
            "labelSeparation": 3,
        },
        "legend": {
            "labelColor": theme.ink,
            "titleColor": theme.ink,
            "labelFontSize": theme.text,
            "titleFontSize": theme.text,
            "titleFontWeight": "normal",
            "titleLimit": 0,
        },
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


def _named(layer: Json) -> Json:
    return {"data": {"name": ROWS}, **layer}


# ---------------------------------------------------------------------- axes


def _scale(axis: Axis, ends: Sequence[Any]) -> Json:
    found: Json = {"domain": list(ends), "nice": False, "zero": False}
    if axis.scale == "linear":
        return found
    found = {"type": axis.scale, "domain": list(ends), "nice": False}
    return found | ({"constant": axis.knee} if axis.scale == "symlog" else {})


def _ticks(axis: Axis, limits: Limits, values: Sequence[float] = ()) -> Json:
    if not values and axis.scale == "linear":
        return {"tickCount": 6, "format": NUMBER}
    small = f"datum.value !== 0 && abs(datum.value) < 0.001 ? '.0e' : '{NUMBER}'"
    label = f"format(datum.value, {small})"
    return {"values": list(values or bent_ticks(axis, limits)), "labelExpr": label}


def bent_ticks(axis: Axis, limits: Limits) -> list[float]:
    """Round numbers for an axis that isn't linear: as close as it is long."""
    for digits in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 5), (1, 3), (1,)):
        steps = [float(f"{n}e{power}") for power in range(-12, 13) for n in digits]
        if axis.scale == "symlog":
            steps = [step for step in steps if step >= 0.99 * axis.knee]
            steps = [*(-step for step in reversed(steps)), 0.0, *steps]
        shown = [step for step in steps if limits[0] <= step <= limits[1]]
        if len(shown) <= TICKS:
            return shown
    return shown[:: -(-len(shown) // TICKS)]


def _title(drawn: _Drawn, title: str, room: float | None) -> list[str] | str:
    """An axis' title, in as many lines as it takes."""
    if room is None:
        return title
    lines = balanced(title, drawn.style.theme.text, room)
    return lines if len(lines) > 1 else lines[0]


def _x(drawn: _Drawn, field: str = "x") -> Json:
    chart, size = drawn.chart, drawn.size
    axis = drawn.panel.axis if chart.kind == "interval" else chart.x
    title = _title(drawn, axis.title, size.width and 1.15 * size.width) if size.x_title else None
    values = () if chart.kind == "interval" else drawn.data.ticks
    ticks = _ticks(axis, drawn.whole[0], values) | ({} if size.x_labels else {"labels": False})
    scale = _scale(axis, (drawn.end("x_low"), drawn.end("x_high")))
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, "axis": ticks}


def _y(drawn: _Drawn, field: str = "y") -> Json:
    axis, size = drawn.panel.axis, drawn.size
    title = _title(drawn, axis.title, 1.1 * size.height) if size.y_title else None
    ticks = _ticks(axis, drawn.whole[1]) | ({} if size.y_labels else {"labels": False})
    scale = _scale(axis, (drawn.end("y_low"), drawn.end("y_high")))
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, "axis": ticks}


# ---------------------------------------------------------------------- what tells lines apart


def _colour(drawn: _Drawn) -> Json:
    name, colours = drawn.chart.colour, drawn.style.colours
    if not name:
        return {"value": drawn.style.theme.ink}
    scale = {"domain": list(colours), "range": list(colours.values())}
    return {"field": name, "type": "nominal", "scale": scale, "legend": None}


def _dash(drawn: _Drawn) -> Json:
    name, dashes = drawn.chart.dash, drawn.style.dashes
    if not dashes:
        return {}
    scale = {"domain": list(dashes), "range": [list(dash) for dash in dashes.values()]}
    found = {"field": name, "type": "nominal", "scale": scale, "legend": None}
    return {"strokeDash": found}


def _shape(drawn: _Drawn) -> Json:
    shapes = drawn.style.shapes
    if not shapes:
        return {}
    scale = {"domain": list(shapes), "range": list(shapes.values())}
    return {
        "shape": {"field": drawn.style.shaped, "type": "nominal", "scale": scale, "legend": None}
    }


def _detail(drawn: _Drawn) -> Json:
    """Keeps what differs in dashes only apart, where nothing is dashed."""
    name = drawn.chart.dash
    return {"detail": {"field": name, "type": "nominal"}} if name else {}


def _hover(drawn: _Drawn) -> Json:
    """Hovering hands the page the whole row."""
    return {"tooltip": {"content": "data"}} if drawn.interactive else {"tooltip": None}


def _own(drawn: _Drawn, *tests: str) -> Json:
    """Only the chart's own rows, of which all of this is true."""
    has_layers = LAYER in drawn.data.rows[""]
    tests = (f"!isValid(datum.{LAYER})", *tests) if has_layers else tests
    return {"transform": [{"filter": " && ".join(tests)}]} if tests else {}


def _mark(drawn: _Drawn, kind: str, **looks: Any) -> Json:
    """A mark without a voice; zooming moves some out of the panel, where they are cut off."""
    found = {"type": kind, "aria": False, "tooltip": None, **looks}
    return found | ({"clip": True} if drawn.interactive else {})


# ---------------------------------------------------------------------- lines and points


def _shown(drawn: _Drawn, layer: Json) -> Json:
    """A layer whose values have a place on the axes: 0 stands at the end of a logarithmic one."""
    fields = {"y": drawn.panel.axis, "x": drawn.chart.x}
    moved: list[Json] = []
    for channel, axis in fields.items():
        if axis.scale != "log":
            continue
        for name in (channel, f"{channel}2"):
            encoded = layer["encoding"].get(name)
            if encoded and "field" in encoded:
                field, place = encoded["field"], f"{encoded['field']}_at"
                least = drawn.said(f"{channel}_low")
                test = f"isValid(datum.{field}) ? max(datum.{field}, {least}) : null"
                moved.append({"calculate": test, "as": place})
                layer["encoding"][name] = {**encoded, "field": place}
    return layer | ({"transform": [*layer.get("transform", ()), *moved]} if moved else {})


def _line(drawn: _Drawn) -> list[Json]:
    chart, theme = drawn.chart, drawn.style.theme
    x, colour = _x(drawn), _colour(drawn)
    layers = _behind(drawn)
    if drawn.panel.axis.ends:
        layers.append(_spans(drawn))
    line = _mark(drawn, "line", strokeWidth=theme.line)
    layers.append(
        {"mark": line, **_own(drawn)}
        | {"encoding": {"x": x, "y": _y(drawn), "color": colour, **_dash(drawn)}}
    )
    for i, _ in enumerate(chart.beside):
        mark = _mark(
            drawn,
            "line",
            strokeWidth=0.75 * theme.line,
            stroke=theme.beside,
            strokeDash=list(beside_dash(i)),
        )
        encoding: Json = {"x": x, "y": _y(drawn, f"beside_{i}")}
        if chart.colour:
            encoding["detail"] = {"field": chart.colour, "type": "nominal"}
        layers.append({"mark": mark, **_own(drawn), "encoding": encoding})
    encoding = {"x": x, "y": _y(drawn), "color": colour}
    if drawn.interactive:
        near = {"type": "point", "size": 260, "opacity": 0, "filled": True, "clip": True}
        mark = near | {"aria": False} | _hover(drawn)
        layers.append({"mark": mark, **_own(drawn), "encoding": encoding})
    layers += _over(drawn)
    layers.append(_points_of(drawn, encoding))
    return [_shown(drawn, layer) for layer in layers]


def _spans(drawn: _Drawn) -> Json:
    """Intervals as bands; as bars where bands would hide each other."""
    known = _own(drawn, "isValid(datum.low)", "isValid(datum.high)")
    crowded = drawn.style.crowded
    mark = (
        _mark(drawn, "rule", strokeWidth=0.6 * drawn.style.theme.line, opacity=0.5)
        if crowded
        else _mark(drawn, "area", opacity=0.16, line=False)
    )
    encoding: Json = {"x": _x(drawn), "y": _y(drawn, "low"), "y2": {"field": "high"}}
    encoding |= {"color": _colour(drawn), **({} if crowded else _detail(drawn))}
    return {"mark": mark, **known, "encoding": encoding}


def _points_of(drawn: _Drawn, encoding: Json, size: float = 1.0) -> Json:
    theme, marks = drawn.style.theme, {}
    if drawn.chart.filled:
        test = f"datum['{drawn.chart.filled}']"
        marks = {"fillOpacity": {"condition": {"test": test, "value": 1}, "value": 0}}
    hollow = drawn.style.hollow and not drawn.chart.filled
    mark = _mark(drawn, "point", size=size * theme.mark, opacity=1, filled=not hollow)
    mark |= {"aria": drawn.interactive, "strokeWidth": 0.8 * theme.line} | _hover(drawn)
    if drawn.style.dense:
        mark["size"] = 0.15 * theme.mark
    if drawn.chart.filled:
        mark |= {"filled": True, "strokeOpacity": 1}
    return {"mark": mark, **_own(drawn), "encoding": encoding | _shape(drawn) | marks}


def _points(drawn: _Drawn) -> list[Json]:
    encoding = {"x": _x(drawn), "y": _y(drawn), "color": _colour(drawn)}
    layers = _behind(drawn)
    if drawn.panel.axis.ends:
        known = _own(drawn, "isValid(datum.low)", "isValid(datum.high)")
        mark = _mark(drawn, "rule", strokeWidth=0.7 * drawn.style.theme.line, opacity=0.5)
        ends = {**encoding, "y": _y(drawn, "low"), "y2": {"field": "high"}}
        layers.append({"mark": mark, **known, "encoding": ends})
    layers += _over(drawn)
    layers.append(_points_of(drawn, encoding, 1.6))
    return [_shown(drawn, layer) for layer in layers]


# ---------------------------------------------------------------------- further layers


def _behind(drawn: _Drawn) -> list[Json]:
    """Rules and lines, which lie behind the chart's own marks."""
    pairs = enumerate(drawn.chart.layers)
    return [
        _layer(drawn, layer, i) for i, layer in pairs if layer.kind != "point" and _has(drawn, i)
    ]


def _over(drawn: _Drawn) -> list[Json]:
    """Points, which lie over the lines, and what is written beside them."""
    found = []
    for i, layer in enumerate(drawn.chart.layers):
        if layer.kind == "point" and _has(drawn, i):
            found += _along(drawn, layer, i)
            found.append(_layer(drawn, layer, i))
        if layer.text and _has(drawn, i):
            found.append(_texts(drawn, layer, i))
    return found


def _has(drawn: _Drawn, place: int) -> bool:
    rows = drawn.data.of(drawn.panel)
    return LAYER in rows and bool((rows[LAYER] == place).any())


def _inked(drawn: _Drawn, place: int) -> Json:
    """The colour of a layer's marks: the rows' own, where they have one."""
    rows, name = drawn.data.rows[""], drawn.chart.colour
    own = rows[rows[LAYER] == place]
    if not name or name not in own or own[name].isna().all():
        return {"value": drawn.style.theme.beside}
    return _colour(drawn)


def _layer(drawn: _Drawn, layer: ChartLayer, place: int) -> Json:
    theme, rows = drawn.style.theme, drawn.data.rows[""]
    own = rows[rows[LAYER] == place]
    only = {"transform": [{"filter": f"datum.{LAYER} === {place}"}]}
    dash = list(layer_dash(drawn.chart, place))
    encoding: Json = {"color": _inked(drawn, place)}
    named = drawn.chart.kind == "interval"
    if layer.kind == "rule":
        upright = "x" in own and bool(own["x"].notna().all())
        encoding |= {"x": _x(drawn)} if upright else {"y": _names(drawn) if named else _y(drawn)}
        mark = _mark(drawn, "rule", strokeWidth=0.6 * theme.line, strokeDash=dash)
    elif layer.kind == "line":
        encoding |= {"x": _x(drawn), "y": _y(drawn)}
        mark = _mark(drawn, "line", strokeWidth=0.7 * theme.line, strokeDash=dash)
    else:
        encoding |= {"x": _x(drawn), "y": _names(drawn) if named else _y(drawn)}
        shape = layer_shape(place)
        mark = _mark(drawn, "point", size=1.4 * theme.mark, shape=shape, filled=not named)
        mark |= {"opacity": 1}
    return {"mark": mark, **only, "encoding": encoding}


def _along(drawn: _Drawn, layer: ChartLayer, place: int) -> list[Json]:
    """Intervals of a layer's points along x."""
    if not layer.ends:
        return []
    tests = (f"datum.{LAYER} === {place}", "isValid(datum.x_low)", "isValid(datum.x_high)")
    only = {"transform": [{"filter": " && ".join(tests)}]}
    mark = _mark(drawn, "rule", strokeWidth=0.7 * drawn.style.theme.line)
    encoding = {"x": _x(drawn, "x_low"), "x2": {"field": "x_high"}, "y": _y(drawn)}
    return [{"mark": mark, **only, "encoding": encoding | {"color": _inked(drawn, place)}}]


def _texts(drawn: _Drawn, layer: ChartLayer, place: int) -> Json:
    theme = drawn.style.theme
    only = {"transform": [{"filter": f"datum.{LAYER} === {place}"}]}
    mark = _mark(drawn, "text", align="left", baseline="bottom", dx=5, dy=-3)
    mark |= {"fontSize": theme.text, "color": theme.ink, "clip": False}
    text = {"field": "text", "type": "nominal"}
    return {"mark": mark, **only, "encoding": {"x": _x(drawn), "y": _y(drawn), "text": text}}


# ---------------------------------------------------------------------- intervals


def _names(drawn: _Drawn) -> Json:
    """The vertical axis of names, the first one on top."""
    size, labels = drawn.size, list(drawn.data.labels_of(drawn.panel))
    axis: Json = {"grid": False, "labelLimit": 0 if size.width else 150}
    axis |= {} if size.y_labels else {"labels": False}
    return {
        "field": "y",
        "type": "nominal",
        "title": drawn.chart.up.title if size.y_title and drawn.chart.up.title else None,
        "scale": {"domain": labels},
        "axis": axis,
    }


def _interval(drawn: _Drawn) -> list[Json]:
    chart, theme = drawn.chart, drawn.style.theme
    encoding: Json = {"x": _x(drawn), "y": _names(drawn), "color": _colour(drawn)}
    apart = _apart(drawn)
    layers = _behind(drawn)
    if drawn.panel.axis.ends:
        known = _own(drawn, "isValid(datum.low)", "isValid(datum.high)")
        ends = {**encoding, **apart, "x": _x(drawn, "low"), "x2": {"field": "high"}}
        mark = _mark(drawn, "rule", strokeWidth=theme.line)
        layers.append({"mark": mark, **known, "encoding": ends})
    for i, _ in enumerate(chart.beside):
        known = _own(drawn, f"isValid(datum.beside_{i})")
        mark = _mark(drawn, "point", shape="diamond", size=2 * theme.mark, filled=False)
        mark |= {"strokeWidth": 0.8 * theme.line, "opacity": 1} | _hover(drawn)
        own = {**encoding, **apart, "x": _x(drawn, f"beside_{i}")}
        layers.append({"mark": mark, **known, "encoding": own | {"color": {"value": theme.beside}}})
    layers += _over(drawn)
    layers.append(_points_of(drawn, encoding | apart, 1.4))
    return [_shown(drawn, layer) for layer in layers]


def _apart(drawn: _Drawn) -> Json:
    """Puts what has another colour, or another mark, beside instead of over each other."""
    chart, style = drawn.chart, drawn.style
    name, values = chart.colour, list(style.colours)
    if style.dashes and (name in chart.panels or len(values) < 2):
        name, values = chart.dash, list(style.dashes)
    if not name or name in chart.panels or len(values) < 2:
        return {}
    return {"yOffset": {"field": name, "type": "nominal", "scale": {"domain": values}}}


# ---------------------------------------------------------------------- heat maps


def _heat(drawn: _Drawn) -> list[Json]:
    chart, data, theme = drawn.chart, drawn.data, drawn.style.theme
    assert chart.fill
    (across, up), size = data.labels, drawn.size
    places = [
        {"calculate": f"indexof({_list(names)}, datum.{field}) {sign} 0.5", "as": f"{field}{i}"}
        for field, names in (("x", across), ("y", up))
        for i, sign in enumerate("-+")
    ]
    limits = data.limits(drawn.panel)
    x = _cells("x0", chart.x.title if size.x_title else None, limits[0], across, size.x_labels)
    y = _cells("y0", chart.up.title if size.y_title else None, limits[1], up, size.y_labels)
    colour = _heat_colour(drawn)
    rect = _mark(drawn, "rect", **_hover(drawn))
    if chart.colours.numbers:
        rect |= {"stroke": theme.ground, "strokeWidth": 1}
    filter_ = _own(drawn).get("transform", [])
    cells = {
        "mark": rect,
        "transform": [*filter_, *places],
        "encoding": {"x": x, "x2": {"field": "x1"}, "y": y, "y2": {"field": "y1"}, "color": colour},
    }
    if not chart.colours.numbers:
        return [cells]
    middle = [{"calculate": f"datum.{f}0 + 0.5", "as": f"{f}m"} for f in "xy"]
    middle.append({"calculate": _written(chart.colours.numbers), "as": "said"})
    test = "luminance(scale('color', datum.fill)) > 0.18"
    ink = {"condition": {"test": test, "value": "black"}, "value": "white"}
    numbers = {
        "mark": _mark(drawn, "text", baseline="middle", fontSize=theme.text, **_hover(drawn)),
        "transform": [*filter_, {"filter": "isValid(datum.fill)"}, *places, *middle],
        "encoding": {
            "x": {**x, "field": "xm"},
            "y": {**y, "field": "ym"},
            "text": {"field": "said", "type": "nominal"},
            "color": ink,
        },
    }
    return [cells, numbers]


def _written(form: str) -> str:
    """A cell's number as text; what rounds to 0 has no sign."""
    digits = int(form.partition(".")[2].rstrip("f"))
    nothing = f"{0:.{digits}f}"
    least = 0.5 * 10.0**-digits
    return f"abs(datum.fill) < {least!r} ? '{nothing}' : format(datum.fill, '{form}')"


def _heat_colour(drawn: _Drawn) -> Json:
    chart = drawn.chart
    assert chart.fill
    scale = {
        "type": "log" if chart.fill.scale == "log" else "linear",
        "domain": list(drawn.data.fill_limits()),
        "scheme": chart.colours.scheme,
        "clamp": True,
    }
    legend = {
        "title": chart.fill.title,
        "orient": "bottom",
        "gradientLength": 180,
        "gradientThickness": 10,
        "offset": 4,
        "format": NUMBER,
        "tickCount": 4,
    }
    return {"field": "fill", "type": "quantitative", "scale": scale, "legend": legend}


def _cells(
    field: str, title: str | None, limits: Limits, names: Sequence[str], labels: bool
) -> Json:
    """An axis whose ticks stand at whole numbers and say the names at these places."""
    axis: Json = {
        "values": list(range(len(names))),
        "grid": False,
        "labelExpr": f"{_list(names)}[datum.value] || ''",
    }
    axis |= {} if labels else {"labels": False}
    scale = {"domain": list(limits), "nice": False, "zero": False}
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, "axis": axis}


def _list(names: Sequence[str]) -> str:
    """Names as a list within an expression."""
    safe = (name.replace("\\", "\\\\").replace("'", "\\'") for name in names)
    return "[" + ", ".join(f"'{name}'" for name in safe) + "]"
