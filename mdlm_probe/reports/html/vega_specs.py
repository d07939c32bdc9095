"""Charts as Vega-Lite specifications.

A specification holds no rows: the page hands it those of the models and the task that are picked.
Colours are names that the page's style sheet resolves, so that one drawing serves light, dark and
print.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import altair as alt

from mdlm_probe.analysis.charts import DASHES, MEASURE, Axis, Chart, ChartStyle

ROWS = "rows"
"""The name under which the page hands a specification its rows."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
ACROSS, UP = ("x_low", "x_high"), ("y_low", "y_high")
"""Parameters by which the page sets the ends of the axes."""
HEIGHT = {"line": 230, "points": 230, "interval": 290, "heat": 310}
"""Pixels of a panel; its width is the page's."""
NUMBER = ".6~g"
WHEEL = "wheel![event.ctrlKey || event.metaKey || event.shiftKey]"
"""A bare wheel scrolls the page."""


def spec(chart: Chart, look: ChartStyle) -> dict[str, Any]:
    """A chart's panel as a Vega-Lite specification, validated.

    Rows have the fields x, y, low, high, fill (numbers), beside_0, ..., and those of the columns
    that tell them apart; of heat maps, x and y are places in `look`'s labels.
    """
    draw = {"line": _line, "points": _points, "interval": _interval, "heat": _heat}[chart.kind]
    drawn = draw(chart, look).properties(width="container", height=HEIGHT[chart.kind])
    if chart.kind != "heat":
        ends = [alt.param(name, value=at % 2) for at, name in enumerate((*ACROSS, *UP))]
        drawn = drawn.add_params(*ends)
    drawn = drawn.configure(**_config())
    return {k: v for k, v in drawn.to_dict().items() if k != "$schema"}


def _config() -> dict[str, Any]:
    ink, grid = "currentColor", "var(--grid)"
    return {
        "background": "transparent",
        "font": "inherit",
        "autosize": alt.AutoSizeParams(type="fit", contains="padding"),
        "view": alt.ViewConfig(stroke=grid, fill="transparent"),
        "axis": alt.AxisConfig(
            labelColor=ink,
            titleColor=ink,
            gridColor=grid,
            domainColor=grid,
            tickColor=grid,
            labelFontSize=11,
            titleFontSize=12,
            titleFontWeight="normal",
            labelOverlap="greedy",
        ),
        "legend": alt.LegendConfig(
            labelColor=ink, titleColor=ink, titleFontWeight="normal", titleLimit=320
        ),
    }


def _scale(axis: Axis, ends: tuple[str, str]) -> alt.Scale:
    """A scale whose ends the page sets, so that it stays when models are picked."""
    domain = [alt.ExprRef(end) for end in ends]
    if axis.log:
        return alt.Scale(type="log", domain=domain, nice=False)
    return alt.Scale(domain=domain, nice=False, zero=False)


def _across(chart: Chart) -> alt.X:
    axis, scale = _ticks(chart.x), _scale(chart.x, ACROSS)
    return alt.X("x:Q", title=chart.x.title, scale=scale, axis=axis)


def _up(chart: Chart, field: str = "y") -> alt.Y:
    title = None if MEASURE in chart.panels else chart.y.title  # the panel's own title says it
    return alt.Y(f"{field}:Q", title=title, scale=_scale(chart.y, UP), axis=_ticks(chart.y))


def _ticks(axis: Axis) -> alt.Axis:
    if axis.log:
        values = [n * 10.0**power for power in range(-9, 10) for n in (1, 2, 5)]
        return alt.Axis(values=values, format=NUMBER)
    return alt.Axis(tickCount=6, format=NUMBER)


def _told_apart(chart: Chart, look: ChartStyle) -> dict[str, Any]:
    """The encodings by which lines differ; the page draws the legend."""
    found: dict[str, Any] = {}
    if chart.colour:
        scale = alt.Scale(domain=list(look.colours), range=list(look.colours.values()))
        found["color"] = alt.Color(f"{chart.colour}:N", scale=scale, legend=None)
    if chart.dash:
        scale = alt.Scale(
            domain=list(look.dashes),
            range=[list(DASHES[i % len(DASHES)]) for i in range(len(look.dashes))],
        )
        found["strokeDash"] = alt.StrokeDash(f"{chart.dash}:N", scale=scale, legend=None)
    return found


def _shape(chart: Chart, look: ChartStyle) -> dict[str, Any]:
    if not chart.dash:
        return {}
    marks = [SHAPES[i % len(SHAPES)] for i in range(len(look.dashes))]
    scale = alt.Scale(domain=list(look.dashes), range=marks)
    return {"shape": alt.Shape(f"{chart.dash}:N", scale=scale, legend=None)}


_DATA = alt.TooltipContent(content="data")
"""Hovering hands the page the whole row."""


def _zoom(*encodings: Literal["x", "y"]) -> alt.Parameter:
    return alt.selection_interval(
        name="zoom", bind="scales", zoom=WHEEL, encodings=list(encodings), clear="dblclick"
    )


def _line(chart: Chart, look: ChartStyle) -> alt.LayerChart:
    told = _told_apart(chart, look)
    line = alt.Chart(alt.NamedData(ROWS)).encode(x=_across(chart), **told)
    dash = told.pop("strokeDash", None)
    base = alt.Chart(alt.NamedData(ROWS)).encode(x=_across(chart), **told)
    layers = []
    if chart.y.ends and look.bands:
        band = _known(base).mark_area(opacity=0.15, aria=False, clip=True)
        each = {"detail": alt.Detail(f"{chart.dash}:N")} if dash else {}
        layers.append(band.encode(y=_up(chart, "low"), y2="high:Q", **each))
    layers.append(line.mark_line(aria=False, clip=True, strokeWidth=1.8).encode(y=_up(chart)))
    for i, _ in enumerate(chart.beside):
        beside = base.mark_line(aria=False, clip=True, strokeWidth=1.3)
        look_of = {"color": alt.value("var(--beside)"), "detail": alt.Detail(f"{chart.colour}:N")}
        look_of |= {"strokeDash": alt.value(list(DASHES[1 + i % (len(DASHES) - 1)]))}
        layers.append(beside.encode(y=_up(chart, f"beside_{i}"), **look_of))
    near = base.mark_point(size=260, opacity=0, filled=True, clip=True, aria=False, tooltip=_DATA)
    layers.append(near.encode(y=_up(chart)))
    points = base.mark_point(size=26, opacity=1, filled=True, clip=True, tooltip=_DATA)
    points = points.encode(y=_up(chart), **_shape(chart, look))
    return alt.layer(*layers, points.add_params(_zoom("x", "y")))


def _points(chart: Chart, look: ChartStyle) -> alt.LayerChart:
    base = alt.Chart(alt.NamedData(ROWS)).encode(x=_across(chart), **_told_apart(chart, look))
    layers = []
    if chart.y.ends:
        rule = _known(base).mark_rule(strokeWidth=1.2, opacity=0.45, clip=True, aria=False)
        layers.append(rule.encode(y=_up(chart, "low"), y2="high:Q"))
    points = base.mark_point(size=50, opacity=0.9, filled=True, clip=True, tooltip=_DATA)
    return alt.layer(*layers, points.encode(y=_up(chart)).add_params(_zoom("x", "y")))


def _known(base: alt.Chart) -> alt.Chart:
    """Without the rows that have no interval."""
    return base.transform_filter("isValid(datum.low) && isValid(datum.high)")


def _interval(chart: Chart, look: ChartStyle) -> alt.LayerChart:
    order = list(look.across)
    x = alt.X("x:N", title=chart.x.title, sort=order, axis=alt.Axis(labelAngle=-30, labelLimit=130))
    told = _told_apart(chart, look) | {
        "xOffset": alt.XOffset(f"{chart.colour}:N", sort=list(look.colours))
    }
    told.pop("strokeDash", None)
    base = alt.Chart(alt.NamedData(ROWS)).encode(x=x, **told)
    layers = []
    if chart.y.ends:
        rule = _known(base).mark_rule(strokeWidth=2, clip=True, aria=False)
        layers.append(rule.encode(y=_up(chart, "low"), y2="high:Q"))
    for i, _ in enumerate(chart.beside):
        known = base.transform_filter(f"isValid(datum.beside_{i})")
        mark = known.mark_point(shape="diamond", size=90, strokeWidth=1.6, tooltip=_DATA)
        layers.append(mark.encode(y=_up(chart, f"beside_{i}"), color=alt.value("var(--beside)")))
    points = base.mark_point(filled=True, size=70, opacity=1, clip=True, tooltip=_DATA)
    points = points.encode(y=_up(chart), **_shape(chart, look))
    return alt.layer(*layers, points.add_params(_zoom("y")))


def _labels(names: Sequence[str]) -> alt.Axis:
    """An axis whose ticks stand at whole numbers and say the names at these places."""
    quoted = ", ".join(f"'{_safe(name)}'" for name in names)
    return alt.Axis(
        tickMinStep=1, tickCount=12, grid=False, labelExpr=f"[{quoted}][datum.value] || ''"
    )


def _safe(name: str) -> str:
    return name.replace("\\", "\\\\").replace("'", "\\'")


def _heat(chart: Chart, look: ChartStyle) -> alt.LayerChart:
    assert chart.fill
    scales = [alt.Scale(domain=[-0.5, len(n) - 0.5], nice=False) for n in (look.across, look.up)]
    x = alt.X("x0:Q", title=chart.x.title, scale=scales[0], axis=_labels(look.across))
    y = alt.Y("y0:Q", title=chart.y.title, scale=scales[1], axis=_labels(look.up))
    scale = alt.Scale(
        type="log" if chart.fill.log else "linear",
        domain=list(chart.ends or look.ends),
        scheme=chart.scheme,
        clamp=True,
    )
    legend = alt.Legend(
        title=chart.fill.title, orient="bottom", gradientLength=180, format=NUMBER, tickCount=4
    )
    fill = alt.Color("fill:Q", scale=scale, legend=legend)
    base = alt.Chart(alt.NamedData(ROWS)).encode(x=x, x2="x1:Q", y=y, y2="y1:Q")
    cells = base.mark_rect(clip=True, tooltip=_DATA).encode(color=fill)
    return alt.layer(cells.add_params(_zoom("x", "y")))
