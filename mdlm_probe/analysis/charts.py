"""Charts of the page: what is drawn, declared by a probe's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from mdlm_probe.analysis.frames import COLOURS, Tables

DASHES = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3))
MEASURE = "measure"
"""The column whose values have axes of their own."""


@dataclass(frozen=True)
class Axis:
    """What an axis or a colour scale shows.

    Attributes:
        column: of the chart's table.
        title: with its unit.
        times: what values are multiplied by, such as 100 for shares shown in percent.
        log: whether equal ratios are equally far apart.
        ends: the interval's columns are `ends`_low and `ends`_high; none if empty.
    """

    column: str
    title: str
    times: float = 1.0
    log: bool = False
    ends: str = ""


@dataclass(frozen=True)
class Chart:
    """A figure of the page: one panel for each combination of some columns, all alike.

    Attributes:
        name: tells it from the section's others.
        title: what it shows.
        rows: its table, from the report's tables and the rows they were made of.
        kind: a "line" of y against x, "points" where nothing runs between them, an "interval" of y
            for each name x, a "heat" map of `fill`.
        x, y, fill: what is shown; `fill` of heat maps only.
        colour, dash: columns that tell lines apart; none if empty.
        panels: columns of which each combination has a panel; those that differ in "measure" differ
            in their axis of y, too.
        names: how columns are called in tables, where their own name wouldn't do.
        more: further columns of the table, such as how many items a mean is over.
        beside: further values at the same x, such as theory or published ones: column and title.
        scheme, ends: colours of a heat map, and the values at their ends (none: the data's).
        centred: if not 0, the colours' middle is 0, and they reach so far at least.
    """

    name: str
    title: str
    rows: Callable[[Tables, pd.DataFrame], pd.DataFrame]
    kind: Literal["line", "points", "interval", "heat"]
    x: Axis
    y: Axis
    fill: Axis | None = None
    colour: str = "model"
    dash: str = ""
    panels: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    more: tuple[str, ...] = ("n",)
    beside: tuple[tuple[str, str], ...] = ()
    scheme: str = "viridis"
    ends: tuple[float, float] | None = None
    centred: float = 0.0


@dataclass(frozen=True)
class ChartStyle:
    """How the values of a chart's columns are told apart.

    Attributes:
        colours: the style sheet's colour of each value, in the order of the legend.
        dashes: values of the second column, in order.
        across: labels of a heat map's columns, or of intervals.
        up: labels of a heat map's rows, from below.
        ends: values at the ends of its colours.
        bands: whether intervals of lines are drawn: many would hide them.
    """

    colours: dict[str, str]
    dashes: tuple[str, ...] = ()
    across: tuple[str, ...] = ()
    up: tuple[str, ...] = ()
    ends: tuple[float, float] = (0.0, 1.0)
    bands: bool = True


def colours(values: Sequence[str]) -> dict[str, str]:
    """A colour of the style sheet for each value."""
    return {value: f"var(--series-{i % len(COLOURS)})" for i, value in enumerate(values)}


SUFFIXES = ("", "_low", "_high")


def over_sets(table: pd.DataFrame) -> pd.DataFrame:
    """A table with columns best_low and best_high: over sets, or over items where there is one."""
    ends = {f"best{end}": table[f"sets{end}"].fillna(table[f"items{end}"]) for end in SUFFIXES[1:]}
    return table.assign(**ends)


def measures(
    table: pd.DataFrame, keep: Sequence[str], titles: Mapping[str, str], times: float = 1.0
) -> pd.DataFrame:
    """A row for each measure that a table has values of, in the columns value, value_low and _high.

    Args:
        table: with a column for each measure and its interval.
        keep: other columns of it.
        titles: of the measures by column; the column "measure" holds them.
        times: what values are multiplied by.
    """
    parts = [
        table[[name for name in keep if name in table]].assign(
            **{MEASURE: " ".join(title.split())},
            **{f"value{end}": times * table[f"{name}{end}"] for end in SUFFIXES},
        )
        for name, title in titles.items()
        if name in table and table[name].notna().any()
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
