"""Charts: what is drawn, declared once by a probe's report, for the page and for files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from mdlm_probe.analysis.frames import Tables

Rows = Callable[[Tables, Any], pd.DataFrame]
"""A table, from the report's tables and the rows they were made of."""
MEASURE = "measure"
"""The column whose values have axes of their own."""


@dataclass(frozen=True)
class Axis:
    """What an axis or a colour scale shows.

    Attributes:
        column: of the chart's table.
        title: with its unit.
        times: what values are multiplied by, such as 100 for shares shown in percent.
        scale: "log" where equal ratios are equally far apart; "symlog" where they are beyond
            `knee`, and 0 and negative values have a place, too.
        knee: of "symlog": up to it the scale is about linear.
        ends: the interval's columns are `ends`_low and `ends`_high; none if empty.
    """

    column: str
    title: str
    times: float = 1.0
    scale: Literal["linear", "log", "symlog"] = "linear"
    knee: float = 1.0
    ends: str = ""


@dataclass(frozen=True)
class HeatColours:
    """The colours of a heat map.

    Attributes:
        scheme: Vega's name of them.
        ends: the values at their ends; none: the data's.
        centred: if not 0, the colours' middle is 0, and they reach so far at least.
        numbers: the format of the numbers written in the cells; none are if empty.
    """

    scheme: str = "viridis"
    ends: tuple[float, float] | None = None
    centred: float = 0.0
    numbers: str = ""


@dataclass(frozen=True)
class ChartLayer:
    """Marks beside a chart's own: theory, thresholds, points that stand out.

    Attributes:
        title: in the legend; in none if empty.
        rows: its table, with the chart's columns; a column of panels that is missing or empty
            stands for all panels, one of the colour for none of the colours.
        kind: "point", "line", or "rule": across the whole panel, at the one of x and y that is
            there.
        ends: points have intervals along the chart's x, in columns `ends`_low and `ends`_high.
    """

    title: str
    rows: Rows
    kind: Literal["point", "line", "rule"]
    ends: str = ""


@dataclass(frozen=True)
class Chart:
    """A figure: one panel for each combination of some columns, all alike.

    Attributes:
        name: tells it from the probe's others; "" for the main one, whose file is PROBE.png.
        title: what it shows.
        rows: its table.
        kind: a "line" of y against x, "points" where nothing runs between them, an "interval" of x
            for each name y, a "heat" map of `fill`.
        x, y, fill: what is shown; `fill` of heat maps only. Where y has several axes, each that
            there are values of has panels of its own.
        colour, dash: columns that tell lines apart; none if empty. Models have their own colours.
        filled: a column that says which points of an "interval" are filled; all if empty.
        panels: columns of which each combination has a panel; those that differ in "measure" differ
            in their measured axis, too.
        names: how columns are called in tables and titles, where their own name wouldn't do.
        counts: columns of how many a value is over, and what they count.
        more: further columns of the table.
        over: what intervals are over; a column "over" of the table says it, too.
        beside: further values at the same x, such as theory or published ones: column and title.
        layers: further marks.
        colours: of a heat map.
        note: a last sentence on how to read it.
    """

    name: str
    title: str
    rows: Rows
    kind: Literal["line", "points", "interval", "heat"]
    x: Axis
    y: Axis | tuple[Axis, ...]
    fill: Axis | None = None
    colour: str = "model"
    dash: str = ""
    filled: str = ""
    panels: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    counts: tuple[tuple[str, str], ...] = (("n", "items"),)
    more: tuple[str, ...] = ()
    over: str = ""
    beside: tuple[tuple[str, str], ...] = ()
    layers: tuple[ChartLayer, ...] = ()
    colours: HeatColours = HeatColours()
    note: str = ""

    @property
    def measured(self) -> tuple[Axis, ...]:
        """The axes of what was measured: those with intervals."""
        if self.kind == "heat":
            assert self.fill
            return (self.fill,)
        up = self.y if isinstance(self.y, tuple) else (self.y,)
        return (self.x,) if self.kind == "interval" else up

    @property
    def up(self) -> Axis:
        """The vertical axis, or the first of several."""
        return self.y[0] if isinstance(self.y, tuple) else self.y

    @property
    def slug(self) -> str:
        """Its name where none can't be empty."""
        return self.name or "main"


def at(title: str, **values: float) -> ChartLayer:
    """A rule across every panel at a value of each of these columns, such as 0."""
    return ChartLayer(title, lambda tables, frame: pd.DataFrame([values]), "rule")


TASKS, ITEMS = "relevant tasks", "items (of one relevant task, so not over tasks)"
"""What intervals of few-shot questions are over, in words."""


def best_ends(table: pd.DataFrame) -> pd.DataFrame:
    """A table with columns best_low and best_high: over tasks, or over items where there is one.

    A column `over` says which.
    """
    if not len(table):
        return table
    tasks = table["tasks_low"].notna()
    ends = {
        f"best{end}": table[f"tasks{end}"].fillna(table[f"items{end}"]) for end in ("_low", "_high")
    }
    return table.assign(**ends, over=tasks.map({True: TASKS, False: ITEMS}))
