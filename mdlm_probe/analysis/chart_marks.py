"""The marks of each kind of chart, as Vega-Lite layers, from behind to the front."""

from __future__ import annotations

from typing import Any

from mdlm_probe.analysis.chart_encodings import (
    NUMBER,
    DrawnPanel,
    Json,
    across,
    apart,
    cells,
    colour,
    dash,
    detail,
    expression_list,
    layer_rows,
    names_up,
    shape,
    up,
)
from mdlm_probe.analysis.chart_rows import LAYER
from mdlm_probe.analysis.chart_style import beside_dash, layer_dash, layer_shape
from mdlm_probe.analysis.charts import ChartLayer

LIGHT = 0.18
"""Luminance of a cell from which on black is read better than white."""
AROUND = (6, 0.4)
"""Size and opacity of a layer's points where the chart's own are points: around these."""


def marks(drawn: DrawnPanel) -> list[Json]:
    """The layers of a panel; the one that a page zooms and hovers is the first of a heat map, else
    the last.
    """
    draw = {"line": _line, "points": _points, "interval": _interval, "heat": _heat}
    return draw[drawn.chart.kind](drawn)


def _mark(drawn: DrawnPanel, kind: str, **looks: Any) -> Json:
    """A mark without a voice; zooming moves some out of the panel, where they are cut off."""
    found = {"type": kind, "aria": False, "tooltip": None, **looks}
    return found | ({"clip": True} if drawn.interactive else {})


def _hovered(drawn: DrawnPanel, kind: str, **looks: Any) -> Json:
    """A mark that hands a page its whole row."""
    told = {"tooltip": {"content": "data"}, "aria": True} if drawn.interactive else {}
    return _mark(drawn, kind, **looks) | told


def _layer(mark: Json, rows: list[Json], **encoding: Json) -> Json:
    found: Json = {"mark": mark, "encoding": encoding}
    return {"transform": rows, **found} if rows else found


# ---------------------------------------------------------------------- lines and points


def _line(drawn: DrawnPanel) -> list[Json]:
    theme, x = drawn.theme, across(drawn)
    layers = _behind(drawn)
    if drawn.panel.axis.ends:
        layers.append(_band(drawn))
    line = _mark(drawn, "line", strokeWidth=theme.line)
    told = {"color": colour(drawn), **dash(drawn)}
    layers.append(_layer(line, drawn.own(), x=x, y=up(drawn), **told))
    for i, _ in enumerate(drawn.chart.beside):
        looks = {"strokeWidth": 0.75 * theme.line, "stroke": theme.beside}
        mark = _mark(drawn, "line", **looks, strokeDash=list(beside_dash(i)))
        apart = [name for name in (drawn.chart.colour, drawn.chart.dash) if name]
        each: Any = [{"field": name, "type": "nominal"} for name in apart]
        layers.append(_layer(mark, drawn.own(), x=x, y=up(drawn, f"beside_{i}"), detail=each))
    if drawn.interactive:
        near = _hovered(drawn, "point", size=260, opacity=0, filled=True) | {"aria": False}
        layers.append(_layer(near, drawn.own(), x=x, y=up(drawn)))
    layers += _over(drawn)
    layers.append(_dots(drawn, x=x, y=up(drawn), color=colour(drawn)))
    return [_placed(drawn, layer) for layer in layers]


def _points(drawn: DrawnPanel) -> list[Json]:
    told = {"x": across(drawn), "color": colour(drawn)}
    layers = _behind(drawn)
    if drawn.panel.axis.ends:
        bar = _mark(drawn, "rule", strokeWidth=0.7 * drawn.theme.line, opacity=0.5)
        layers.append(_span(drawn, bar, **told))
    layers += _over(drawn)
    layers.append(_dots(drawn, 1.6, y=up(drawn), **told))
    return [_placed(drawn, layer) for layer in layers]


def _band(drawn: DrawnPanel) -> Json:
    """Intervals as bands; as bars where bands would hide each other."""
    told = {"x": across(drawn), "color": colour(drawn)}
    if drawn.style.crowded:
        bar = _mark(drawn, "rule", strokeWidth=0.6 * drawn.theme.line, opacity=0.5)
        return _span(drawn, bar, **told)
    return _span(drawn, _mark(drawn, "area", opacity=0.16, line=False), **told, **detail(drawn))


def _span(drawn: DrawnPanel, mark: Json, **told: Json) -> Json:
    """Intervals; an end that isn't known, or that the axis doesn't have, is the axis' own."""
    side = "x" if drawn.chart.kind == "interval" else "y"
    rows = [*drawn.own("(isValid(datum.low) || isValid(datum.high))"), *_open(drawn, side)]
    from_ = across(drawn, "low_at") if side == "x" else up(drawn, "low_at")
    return _layer(mark, rows, **{side: from_, f"{side}2": {"field": "high_at"}}, **told)


def _open(drawn: DrawnPanel, side: str, prefix: str = "") -> list[Json]:
    """Fields of both ends of intervals, as far as the axis has them."""
    low, high = (drawn.said(f"{side}_{end}") for end in ("low", "high"))
    given = [f"datum.{prefix}{end}" for end in ("low", "high")]
    from_ = f"isValid({given[0]}) ? max({given[0]}, {low}) : {low}"
    to = f"isValid({given[1]}) ? {given[1]} : {high}"
    return [
        {"calculate": from_, "as": f"{prefix}low_at"},
        {"calculate": to, "as": f"{prefix}high_at"},
    ]


def _dots(drawn: DrawnPanel, size: float = 1.0, **told: Json) -> Json:
    """The points, which a page hovers; hollow where several shapes lie over each other."""
    theme, style, filled = drawn.theme, drawn.style, drawn.chart.filled
    area = (0.15 if style.dense else size) * theme.mark
    looks = {"size": area, "opacity": 1, "strokeWidth": 0.8 * theme.line}
    mark = _hovered(drawn, "point", **looks, filled=not filled and not style.hollow)
    if filled:
        inner = {"condition": {"test": f"datum['{filled}']", "value": 1}, "value": 0}
        told |= {"fill": told["color"], "fillOpacity": inner}
    return _layer(mark, drawn.own(), **told, **shape(drawn))


def _placed(drawn: DrawnPanel, layer: Json) -> Json:
    """A layer whose values have a place on the axes: 0 stands at the end of a logarithmic one."""
    moved: list[Json] = []
    for channel, axis in (("y", drawn.panel.axis), ("x", drawn.chart.x)):
        encoded = layer["encoding"].get(channel, {})
        field = encoded.get("field", "")
        if axis.scale != "log" or encoded.get("type") != "quantitative" or field.endswith("_at"):
            continue
        least, given = drawn.said(f"{channel}_low"), f"datum.{field}"
        test = f"isValid({given}) ? max({given}, {least}) : null"
        moved.append({"calculate": test, "as": f"{field}_at"})
        layer["encoding"][channel] = {**encoded, "field": f"{field}_at"}
    return layer | ({"transform": [*layer.get("transform", ()), *moved]} if moved else {})


# ---------------------------------------------------------------------- further layers


def _behind(drawn: DrawnPanel) -> list[Json]:
    """Rules and lines, which lie behind the chart's own marks."""
    layers = enumerate(drawn.chart.layers)
    return [
        _further(drawn, layer, place)
        for place, layer in layers
        if layer.kind != "point" and drawn.has_layer(place)
    ]


def _over(drawn: DrawnPanel) -> list[Json]:
    """Points, which lie over the lines."""
    found = []
    for place, layer in enumerate(drawn.chart.layers):
        if not drawn.has_layer(place):
            continue
        if layer.kind == "point":
            found += [_along(drawn, place)] if layer.ends else []
            found.append(_further(drawn, layer, place))
    return found


def _inked(drawn: DrawnPanel, place: int) -> Json:
    """The colour of a layer's marks: the rows' own, where they have one."""
    rows, name = drawn.data.of(drawn.panel), drawn.chart.colour
    own = rows[rows[LAYER] == place]
    if not name or name not in own or own[name].isna().all():
        return {"value": drawn.theme.beside}
    return colour(drawn)


def _further(drawn: DrawnPanel, layer: ChartLayer, place: int) -> Json:
    """A layer's own marks: a rule stands at the one of x and y that its rows have."""
    theme, rows = drawn.theme, drawn.data.of(drawn.panel)
    own = rows[rows[LAYER] == place]
    named = drawn.chart.kind == "interval"
    axes = {"x": across(drawn), "y": names_up(drawn) if named else up(drawn)}
    if layer.kind == "rule":
        upright = "x" in own and bool(own["x"].notna().all())
        axes.pop("y" if upright else "x")
    if layer.kind == "point":
        size, opacity = AROUND if drawn.chart.kind == "points" else (1.4, 1)
        looks = {"size": size * theme.mark, "shape": layer_shape(place), "opacity": opacity}
        mark = _mark(drawn, "point", **looks, filled=not named)
    else:
        dashes = list(layer_dash(drawn.chart, place))
        mark = _mark(drawn, layer.kind, strokeWidth=0.65 * theme.line, strokeDash=dashes)
    return _layer(mark, layer_rows(place), **axes, color=_inked(drawn, place))


def _along(drawn: DrawnPanel, place: int) -> Json:
    """Intervals of a layer's points along x."""
    known = layer_rows(place, "(isValid(datum.x_low) || isValid(datum.x_high))")
    mark = _mark(drawn, "rule", strokeWidth=0.7 * drawn.theme.line)
    ends = {"x": across(drawn, "x_low_at"), "x2": {"field": "x_high_at"}}
    rows = [*known, *_open(drawn, "x", "x_")]
    return _layer(mark, rows, **ends, y=up(drawn), color=_inked(drawn, place))


# ---------------------------------------------------------------------- intervals


def _interval(drawn: DrawnPanel) -> list[Json]:
    theme = drawn.theme
    told = {"y": names_up(drawn), "color": colour(drawn), **apart(drawn)}
    layers = _behind(drawn)
    if drawn.panel.axis.ends:
        layers.append(_span(drawn, _mark(drawn, "rule", strokeWidth=theme.line), **told))
    for i, _ in enumerate(drawn.chart.beside):
        looks = {"shape": "diamond", "size": 2 * theme.mark, "filled": False, "opacity": 1}
        mark = _hovered(drawn, "point", **looks, strokeWidth=0.8 * theme.line)
        ink = told | {"x": across(drawn, f"beside_{i}"), "color": {"value": theme.beside}}
        layers.append(_layer(mark, drawn.own(f"isValid(datum.beside_{i})"), **ink))
    layers += _over(drawn)
    layers.append(_dots(drawn, 1.4, x=across(drawn), **told))
    return [_placed(drawn, layer) for layer in layers]


# ---------------------------------------------------------------------- heat maps


def _heat(drawn: DrawnPanel) -> list[Json]:
    labels, limits = drawn.data.labels, drawn.whole
    places = [
        {
            "calculate": f"indexof({expression_list(names)}, datum.{field}) {sign} 0.5",
            "as": f"{field}{i}",
        }
        for field, names in zip("xy", labels, strict=True)
        for i, sign in enumerate("-+")
    ]
    axes = {
        channel: cells(drawn, channel, names, ends, f"{channel}0")
        for channel, names, ends in zip("xy", labels, limits, strict=True)
    }
    edges = {f"{channel}2": {"field": f"{channel}1"} for channel in "xy"}
    rect = _hovered(drawn, "rect")
    if drawn.chart.colours.numbers:
        rect |= {"stroke": drawn.theme.ground, "strokeWidth": 1}
    found = [_layer(rect, [*drawn.own(), *places], **axes, **edges, color=_fill(drawn))]
    return [*found, _numbers(drawn, places, axes)] if drawn.chart.colours.numbers else found


def _numbers(drawn: DrawnPanel, places: list[Json], axes: Json) -> Json:
    """The cells' numbers, black or white."""
    middle = [{"calculate": f"datum.{f}0 + 0.5", "as": f"{f}m"} for f in "xy"]
    middle.append({"calculate": _written(drawn.chart.colours.numbers), "as": "said"})
    test = f"luminance(scale('color', datum.fill)) > {LIGHT}"
    mark = _hovered(drawn, "text", baseline="middle", fontSize=drawn.theme.text)
    rows = [*drawn.own("isValid(datum.fill)"), *places, *middle]
    return _layer(
        mark,
        rows,
        **{channel: {**axes[channel], "field": f"{channel}m"} for channel in "xy"},
        text={"field": "said", "type": "nominal"},
        color={"condition": {"test": test, "value": "black"}, "value": "white"},
    )


def _written(form: str) -> str:
    """A cell's number as text; what rounds to 0 has no sign."""
    digits = int(form.partition(".")[2].rstrip("f"))
    least = 0.5 * 10.0**-digits
    nothing = f"{0:.{digits}f}"
    return f"abs(datum.fill) < {least!r} ? '{nothing}' : format(datum.fill, '{form}')"


def _fill(drawn: DrawnPanel) -> Json:
    fill, text = drawn.chart.fill, drawn.theme.text
    assert fill
    scale = {
        "type": "log" if fill.scale == "log" else "linear",
        "domain": list(drawn.data.fill_limits()),
        "scheme": drawn.chart.colours.scheme,
        "clamp": True,
    }
    legend = {
        "title": fill.title,
        "orient": "bottom",
        "gradientLength": round(15 * text),
        "gradientThickness": round(0.9 * text),
        "offset": 4,
        "format": NUMBER,
        "tickCount": 4,
    }
    return {"field": "fill", "type": "quantitative", "scale": scale, "legend": legend}
