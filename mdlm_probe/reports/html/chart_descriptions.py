"""Charts in words, from their rows: for those who don't see them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mdlm_probe.analysis.chart_data import ChartData, Panel
from mdlm_probe.reports.html.page_tables import number

MANY = 8
"""Lines that are gone through one by one."""
LONG = 850
"""Characters of a panel in words, about, after which no further line is gone through: what reads
pages to people may leave out a name of 900 or more."""
KINDS = {"line": "Lines", "points": "Points with intervals", "interval": "Points with intervals"}


def words(data: ChartData, panel: Panel) -> str:
    """A panel in words, for those who don't see it."""
    chart, rows = data.chart, data.own_of(panel)
    head = f"{chart.title}{f', {panel.title}' if panel.title else ''}."
    if chart.kind == "heat":
        return f"{head} Heat map of {_heat_words(data, rows)}"
    up = chart.up if chart.kind == "interval" else panel.axis
    across = panel.axis if chart.kind == "interval" else chart.x
    parts = [f"{head} {KINDS[chart.kind]}. Across: {across.title}. Up: {up.title or up.column}."]
    names = [n for n in (chart.colour, chart.dash) if n and n not in chart.panels]
    groups = list(rows.groupby(names, sort=False, observed=True)) if names else [((), rows)]
    told = 0
    for values, part in groups[:MANY]:
        known = part.dropna(subset=[data.value])
        if chart.kind == "line":
            known = known.sort_values("x")
        if len(known):
            label = ", ".join(map(str, values if isinstance(values, tuple) else (values,)))
            said = f"{f'{label}: ' if label else ''}{_course(data, known)}."
            if len(" ".join([*parts, said])) > LONG:
                break
            parts.append(said)
        told += 1
    if told < len(groups):
        parts.append(f"{len(groups) - told} more: see the table.")
    return " ".join(parts)


def _course(data: ChartData, rows: pd.DataFrame) -> str:
    """A line's first and last point, and its extremes."""
    value, other = ("x", "y") if data.value == "x" else ("y", "x")

    def at(place: Any) -> str:
        return f"{number(rows[value].loc[place])} at {number(rows[other].loc[place])}"

    first, last = at(rows.index[0]), at(rows.index[-1])
    if len(rows) == 1:
        return first
    found = rows[value].astype(float)
    low, high = at(found.idxmin()), at(found.idxmax())
    return f"first {first}, last {last}, lowest {low}, highest {high}"


def _heat_words(data: ChartData, rows: pd.DataFrame) -> str:
    chart = data.chart
    assert chart.fill
    known = rows.dropna(subset=["fill"])
    parts = [f"{chart.fill.title}. Across: {chart.x.title}. Up: {chart.up.title}."]
    for word, place in (("Lowest", "idxmin"), ("Highest", "idxmax")):
        if len(known):
            row = known.loc[getattr(known["fill"].astype(float), place)()]
            parts.append(f"{word}: {number(row['fill'])} at {row['x']} across, {row['y']} up.")
    return " ".join(parts)
