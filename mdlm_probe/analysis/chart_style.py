"""How charts look: colours of models and of categories, dashes, marks, sizes of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mdlm_probe.analysis.chart_data import ChartData
from mdlm_probe.analysis.charts import Chart
from mdlm_probe.analysis.text_width import FONT

MODELS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
    *("#882255", "#117733", "#999933", "#332288", "#AA4499", "#661100", "#888888"),
)
"""Okabe and Ito's palette, then Tol's, told apart with any colour vision; one colour per model."""
CATEGORIES = (
    *("#6A3D9A", "#8A8D00", "#C2187E", "#0F8B99", "#8A5A2B", "#5E6C77", "#B8860B"),
    *("#9B7BC4", "#00574B", "#F0788C"),
)
"""Of what isn't a model: fillers, orders, interventions; none of the models' colours."""
DARK = {
    "#0072B2": "#4FA8E0",
    "#000000": "#FFFFFF",
    "#882255": "#D977A8",
    "#117733": "#4DB374",
    "#332288": "#9B8CE8",
    "#AA4499": "#D583C8",
    "#661100": "#D98A6E",
    "#6A3D9A": "#B79AE0",
    "#8A5A2B": "#D3A06A",
    "#C2187E": "#F07CC4",
    "#8A8D00": "#AFC22E",
    "#0F8B99": "#4CC3D0",
    "#5E6C77": "#9FB0BD",
    "#00574B": "#3FB8A6",
}
"""Colours of lines that can't be seen on a dark ground, and what stands for them there."""

MANY = 16
"""Points of a line from which on marks would hide it."""
CROWDED = 6
"""Lines of a panel up to which bands can be told apart."""
DASHES = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3))
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")


@dataclass(frozen=True)
class Theme:
    """Inks and sizes of a place where charts are drawn.

    Attributes:
        background: of a picture.
        models, categories: colours, in the order in which they are given out.
        ink, soft, grid, ground, beside: of text, of small text, of lines behind, of the paper, of
            theory and thresholds.
        font: a list of families.
        text, title: sizes of letters: of all text, and of a chart's title.
        line, mark: the width of lines, and the area of points.
    """

    models: tuple[str, ...] = MODELS
    categories: tuple[str, ...] = CATEGORIES
    background: str = "#ffffff"
    ink: str = "#1b1f24"
    soft: str = "#4d5661"
    grid: str = "#d5dae0"
    ground: str = "#ffffff"
    beside: str = "#555c66"
    font: str = FONT
    text: float = 11
    title: float = 14
    line: float = 1.8
    mark: float = 34


def variables(name: str, colours: Sequence[str]) -> tuple[str, ...]:
    """Names of a page's style sheet for colours, which it resolves by light and dark."""
    return tuple(f"var(--{name}-{i})" for i in range(len(colours)))


SCREEN = Theme()
PAPER = Theme(text=8, title=8, line=1.2, mark=18)
PAGE = Theme(
    models=variables("model", MODELS),
    categories=variables("category", CATEGORIES),
    ink="currentColor",
    soft="currentColor",
    grid="var(--grid)",
    ground="var(--ground)",
    background="transparent",
    beside="var(--beside)",
    font='system-ui, -apple-system, "Segoe UI", Roboto, sans-serif',  # as the page's own
)


def model_colours(models: Sequence[str], theme: Theme = SCREEN) -> dict[str, str]:
    """A colour for each model, in the order given."""
    return {model: theme.models[i % len(theme.models)] for i, model in enumerate(models)}


@dataclass(frozen=True)
class LegendEntry:
    """A line of a legend.

    Attributes:
        label: what it says.
        colour: of the mark; "" where it stands for any colour.
        dash: of the line; () where there is none.
        shape: of the point; "" where there is none.
        hollow: whether the point is: marks of several shapes are, since they lie over each other.
    """

    label: str
    colour: str = ""
    dash: tuple[int, ...] = ()
    shape: str = ""
    hollow: bool = False


@dataclass(frozen=True)
class ChartStyle:
    """How the values of a chart's columns are told apart.

    Attributes:
        theme: inks and sizes.
        colours: by value of the chart's colour column, in the order of the legend.
        dashes: by value of its column of dashes, where there are several.
        shaped: the column that marks differ in; "" for none.
        shapes: of the marks, by its values.
        dense: whether lines have so many points that these are but dots.
        crowded: whether there are so many lines that intervals are bars: bands would hide them.
        legend: what they stand for.
    """

    theme: Theme
    colours: dict[str, str]
    dashes: dict[str, tuple[int, ...]]
    shaped: str
    shapes: dict[str, str]
    dense: bool
    crowded: bool
    legend: tuple[LegendEntry, ...]

    @property
    def hollow(self) -> bool:
        """Whether marks are: those of several shapes, since they lie over each other."""
        return len(self.shapes) > 1


def chart_style(data: ChartData, models: Sequence[str], theme: Theme = SCREEN) -> ChartStyle:
    """How a chart's values are told apart.

    Args:
        data: the chart.
        models: all of the page or run folder: each has the same colour in all charts.
        theme: of the place where it is drawn.
    """
    chart = data.chart
    if chart.colour == "model":
        given = model_colours(list(dict.fromkeys((*models, *data.colours))), theme)
        colours = {name: given[name] for name in data.colours}
    else:
        places = {value: data.kinds.index(value) for value in data.colours}
        colours = {
            value: theme.categories[place % len(theme.categories)]
            for value, place in places.items()
        }
    several = data.dashes if len(data.dashes) > 1 else ()
    dashes: dict[str, tuple[int, ...]] = {
        value: DASHES[i % len(DASHES)] for i, value in enumerate(several)
    }
    lines, points = data.lines
    dense = chart.kind == "line" and points > MANY
    shaped = chart.dash if several else "" if chart.colour == "model" else chart.colour
    shaped = "" if dense else shaped
    values = (several or data.kinds) if shaped else ()
    told = several or data.colours
    shapes = {v: SHAPES[i % len(SHAPES)] for i, v in enumerate(values) if v in told}
    style = ChartStyle(theme, colours, dashes, shaped, shapes, dense, lines > CROWDED, ())
    return replace(style, legend=tuple(_legend(data, style)))


def beside_dash(place: int) -> tuple[int, ...]:
    """The dashes of the values beside a chart's own, one after the other."""
    return DASHES[1 + place % (len(DASHES) - 1)]


def _legend(data: ChartData, style: ChartStyle) -> list[LegendEntry]:
    chart, theme = data.chart, style.theme
    if chart.kind == "heat":
        return []
    lined = chart.kind == "line"
    dot = "" if style.dense else "circle"
    panelled = chart.colour in chart.panels
    found = [
        LegendEntry(
            value,
            colour,
            DASHES[0] if lined else (),
            style.shapes[value] if style.shaped == chart.colour else dot,
            style.hollow and style.shaped == chart.colour,
        )
        for value, colour in style.colours.items()
        if not panelled
    ]
    names = dict(chart.names)
    if style.dashes:
        found += [
            LegendEntry(
                f"{names.get(chart.dash, chart.dash)} {value}".strip(),
                "",
                dash if lined else (),
                style.shapes.get(value, ""),
                style.hollow,
            )
            for value, dash in style.dashes.items()
        ]
    for i, (_, title) in enumerate(chart.beside):
        dash = beside_dash(i) if lined else ()
        found.append(LegendEntry(title, theme.beside, dash, "" if lined else "diamond", True))
    found += _layers(data, style)
    if chart.filled:
        found.append(LegendEntry(names[chart.filled], "", (), "circle"))
    return found


def _layers(data: ChartData, style: ChartStyle) -> list[LegendEntry]:
    """The layers that have a title, and rows."""
    rows = data.rows[""]
    if "layer" not in rows:
        return []
    found = []
    for place, layer in enumerate(data.chart.layers):
        own = rows[rows["layer"] == place]
        if not layer.title or not len(own):
            continue
        name = data.chart.colour
        neutral = name not in own or own[name].isna().all()
        point = layer.kind == "point"
        found.append(
            LegendEntry(
                layer.title,
                style.theme.beside if neutral else "",
                () if point else layer_dash(data.chart, place),
                layer_shape(place) if point else "",
                data.chart.kind == "interval",
            )
        )
    return found


def layer_dash(chart: Chart, place: int) -> tuple[int, ...]:
    """The dashes of a layer's lines: others than those of the layers before it."""
    lines = [i for i, layer in enumerate(chart.layers) if layer.kind != "point" and layer.title]
    return beside_dash(lines.index(place) + len(chart.beside)) if place in lines else (1, 0)


def layer_shape(place: int) -> str:
    """The mark of a layer's points."""
    return SHAPES[(3 + place) % len(SHAPES)]
