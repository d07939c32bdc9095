"""Charts in words, from their rows: for those who don't see them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mdlm_probe.analysis.charts import Chart
from mdlm_probe.reports.html.page_tables import number

MANY = 8
"""Lines that are gone through one by one."""


def words(chart: Chart, title: str, rows: pd.DataFrame) -> str:
    """A panel in words, for those who don't see it."""
    head = f"{chart.title}{f', {title}' if title else ''}."
    if chart.kind == "heat":
        return f"{head} Heat map of {_heat_words(chart, rows)}"
    kind = "Lines" if chart.kind == "line" else "Points with intervals"
    parts = [f"{head} {kind}. Across: {chart.x.title}. Up: {chart.y.title}."]
    names = [n for n in (chart.colour, chart.dash) if n and n not in chart.panels]
    groups = list(rows.groupby(names, sort=False, observed=True)) if names else [((), rows)]
    for values, part in groups[:MANY]:
        known = part.dropna(subset=["y"])
        if chart.kind == "line":
            known = known.sort_values("x")
        if len(known):
            label = ", ".join(values if isinstance(values, tuple) else (values,))
            parts.append(f"{f'{label}: ' if label else ''}{_course(known)}.")
    if len(groups) > MANY:
        parts.append(f"{len(groups) - MANY} more: see the table.")
    return " ".join(parts)


def _course(rows: pd.DataFrame) -> str:
    """A line's first and last point, and its extremes."""

    def at(place: Any) -> str:
        return f"{number(rows['y'].loc[place])} at {number(rows['x'].loc[place])}"

    first, last = at(rows.index[0]), at(rows.index[-1])
    if len(rows) == 1:
        return first
    low, high = at(rows["y"].idxmin()), at(rows["y"].idxmax())
    return f"first {first}, last {last}, lowest {low}, highest {high}"


def _heat_words(chart: Chart, rows: pd.DataFrame) -> str:
    assert chart.fill
    known = rows.dropna(subset=["fill"])
    parts = [f"{chart.fill.title}. Across: {chart.x.title}. Up: {chart.y.title}."]
    for word, place in (("Lowest", "idxmin"), ("Highest", "idxmax")):
        if len(known):
            row = known.loc[getattr(known["fill"], place)()]
            parts.append(f"{word}: {number(row['fill'])} at {row['x']} across, {row['y']} up.")
    return " ".join(parts)
