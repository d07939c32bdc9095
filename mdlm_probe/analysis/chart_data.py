"""The data of a chart: its rows, its panels, and where its axes end."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from mdlm_probe.analysis.axis_limits import Limits, axis_limits
from mdlm_probe.analysis.chart_rows import (
    ENDS,
    LAYER,
    Source,
    kinds_of,
    measure,
    measured_axes,
    own_rows,
    series_of,
    several,
    text_of,
    value_field,
    values_of,
    with_layers,
)
from mdlm_probe.analysis.charts import MEASURE, Axis, Chart
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.observed import Observed

ALL = ""
"""The name of all tasks together."""
ALONE = ("model", "task", "set", MEASURE)
"""Columns whose values say by themselves what they are."""
MARGIN = 0.04
"""Of the range of values, empty at both ends of an axis."""
FEW = 9
"""Different values of x up to which each has a tick."""


@dataclass(frozen=True)
class Panel:
    """One of a chart's panels.

    Attributes:
        title: what tells it from the others; a measure of its own is said by its axis instead.
        where: the values of its rows' columns, as text.
        axis: what is measured.
        place: its own among the panels.
    """

    title: str
    where: Mapping[str, str]
    axis: Axis
    place: int = 0


@dataclass(frozen=True)
class ChartData:
    """A chart that there is something to see of.

    Attributes:
        chart: what was declared, without what there are no values of.
        rows: by task, that of all tasks together first, with the fields of `columns`, and `layer`.
        columns: of the table of its rows: a title, and a field or an interval's two.
        panels: in the order of the picture.
        colours, dashes: the values that are told apart, in the order of the legend.
        kinds: all values that its colour column could have, where it says so.
        labels: of an interval's or a heat map's axis of names: across and up, from below.
        ticks: the values of x, where they are few.
    """

    chart: Chart
    rows: dict[str, pd.DataFrame]
    columns: tuple[tuple[str, tuple[str, ...]], ...]
    panels: tuple[Panel, ...]
    colours: tuple[str, ...]
    kinds: tuple[str, ...]
    dashes: tuple[str, ...]
    labels: tuple[tuple[str, ...], tuple[str, ...]]
    ticks: tuple[float, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of its rows."""
        return tuple(map(str, self.rows[ALL].columns))

    @property
    def value(self) -> str:
        """The field of what is measured."""
        return value_field(self.chart)

    def own(self, task: str = ALL) -> pd.DataFrame:
        """The chart's own rows, without those of layers."""
        rows = self.rows[task]
        return rows[rows[LAYER].isna()] if LAYER in rows else rows

    def of(self, panel: Panel, task: str = ALL) -> pd.DataFrame:
        """A panel's rows; those that are of every panel, too."""
        key = (task, *panel.where.items())
        if key not in self._own:
            self._own[key] = self._found_rows(panel, task)
        return self._own[key]

    @cached_property
    def _own(self) -> dict[tuple[object, ...], pd.DataFrame]:
        return {}

    def _found_rows(self, panel: Panel, task: str) -> pd.DataFrame:
        rows = self.rows[task]
        keep = np.ones(len(rows), dtype=bool)
        for name, value in panel.where.items():
            keep &= (rows[name].isna() | (rows[name] == value)).to_numpy()
        return rows[keep]

    def labels_of(self, panel: Panel) -> tuple[str, ...]:
        """The names up the side of a panel: all, or its measure's where measures differ in them."""
        if self.chart.kind != "interval" or MEASURE not in self.chart.panels:
            return self.labels[1]
        own = set(self.of(panel)["y"])
        return tuple(name for name in self.labels[1] if name in own)

    @cached_property
    def lines(self) -> tuple[int, int]:
        """How many lines the fullest panel has, and how many points the longest of them."""
        names = [name for name in (self.chart.colour, self.chart.dash) if name]
        whole = self.own()
        keys = [name for name in dict.fromkeys((*self.panels[0].where, *names)) if name in whole]
        if not keys:
            return 1, len(whole)
        points = whole.groupby(keys, observed=True, sort=False).size()
        panels = [name for name in self.panels[0].where if name in keys]
        lines = points.groupby(level=panels).size().max() if panels else len(points)
        return int(lines), int(points.max())

    def own_of(self, panel: Panel, task: str = ALL) -> pd.DataFrame:
        """A panel's own rows, without those of layers."""
        rows = self.of(panel, task)
        return rows[rows[LAYER].isna()] if LAYER in rows else rows

    def limits(self, panel: Panel, task: str = ALL) -> tuple[Limits, Limits]:
        """Where a panel's axes of x and y end: every value and interval is inside.

        All panels have the same, but for what is measured where measures differ.
        """
        key = (task, panel.where.get(MEASURE, ""))
        if key not in self._limits:
            self._limits[key] = self._found_limits(panel, task)
        return self._limits[key]

    @cached_property
    def _limits(self) -> dict[tuple[str, str], tuple[Limits, Limits]]:
        return {}

    def _found_limits(self, panel: Panel, task: str) -> tuple[Limits, Limits]:
        chart, rows = self.chart, self.rows[task]
        if chart.kind == "heat":
            across, up = self.labels
            return (-0.5, len(across) - 0.5), (-0.5, len(up) - 0.5)
        alike = rows
        if MEASURE in panel.where:
            own = rows[MEASURE]
            alike = rows[own.isna() | (own == panel.where[MEASURE])]
        beside = [f"beside_{i}" for i, _ in enumerate(chart.beside)]
        names = [self.value, *(end for end in ENDS if end in alike), *beside]
        measured = axis_limits(_flat(alike, names), panel.axis, MARGIN)
        if chart.kind == "interval":
            return measured, (0.0, 1.0)
        margin = MARGIN / 2 if chart.kind == "line" else MARGIN
        along = [name for name in ("x", "x_low", "x_high") if name in rows]
        return axis_limits(_flat(rows, along), chart.x, margin), measured

    def fill_limits(self) -> Limits:
        """The values at the ends of a heat map's colours."""
        colours = self.chart.colours
        if colours.ends:
            return colours.ends
        values = self.rows[ALL]["fill"].to_numpy(dtype=float)
        values = values[np.isfinite(values)]
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        if colours.centred:
            high = max(colours.centred, abs(low), abs(high))
            low = -high
        high = high if high > low else low + 1.0
        return float(f"{low:.4g}"), float(f"{high:.4g}")

    def counted(self, task: str = ALL) -> str:
        """How many its values are over: "n = 32 to 40 items, 4 sets"; "" where nobody says."""
        rows, parts = self.own(task), []
        for column, what in self.chart.counts:
            known = list(rows[column].dropna()) if column in rows else []
            if known:
                few, many = text_of(min(known)), text_of(max(known))
                told = what if many != "1" else _PLURAL.sub("", what, count=1)
                parts.append(f"{few if few == many else f'{few} to {many}'} {told}")
        return f"n = {', '.join(parts)}" if parts else ""

    def has_intervals(self, task: str = ALL) -> bool:
        """Whether any interval is known."""
        rows = self.own(task)
        return ENDS[0] in rows and bool(rows[ENDS[0]].notna().any())

    def over(self, task: str = ALL) -> str:
        """What its intervals are over; "" where there are none."""
        if not self.has_intervals(task):
            return ""
        rows = self.own(task)
        known = rows[rows["low"].notna()]
        named = list(dict.fromkeys(known["over"])) if "over" in rows else [self.chart.over]
        return " or ".join(filter(None, named)) or "observations"


_PLURAL = re.compile(r"s(?= with | of | a | per | apart|$)")
"""The ending of what is counted, in "relevant tasks" as in "prompts with a sink"."""


def chart_data(chart: Chart, sources: Mapping[str, Source]) -> ChartData | None:
    """A chart's data; None where there is nothing to see.

    Args:
        chart: what is declared.
        sources: by task; that of all tasks together is `ALL`, and comes first.
    """
    tables = {task: chart.rows(*source).reset_index(drop=True) for task, source in sources.items()}
    tables = {task: table for task, table in tables.items() if measured_axes(chart, table)}
    if ALL not in tables:
        return None
    chart = _known(chart, tables[ALL])
    shown = {task: own_rows(chart, table) for task, table in tables.items()}
    each = list(tables.values())
    named = chart.kind in ("heat", "interval")
    across = values_of(each, chart.x.column) if chart.kind == "heat" else ()
    return ChartData(
        chart=chart,
        rows={task: with_layers(chart, rows, sources[task]) for task, rows in shown.items()},
        columns=_columns(chart, shown[ALL]),
        panels=_panels(chart, tables[ALL]),
        colours=values_of(each, chart.colour),
        kinds=kinds_of(each, chart.colour),
        dashes=values_of(each, chart.dash),
        labels=(across, values_of(each, chart.up.column) if named else ()),
        ticks=_ticks(chart, list(shown.values())),
    )


def of_report(chart: Chart, tables: Tables, frame: Observed) -> ChartData | None:
    """A chart's data of all tasks together."""
    return chart_data(chart, {ALL: (tables, frame)})


def _known(chart: Chart, table: pd.DataFrame) -> Chart:
    """A chart without what its table doesn't have."""
    beside = tuple(b for b in chart.beside if b[0] in table and table[b[0]].notna().any())
    known = replace(chart, beside=beside)
    return replace(known, y=tuple(measured_axes(chart, table))) if several(chart) else known


def _flat(rows: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    return rows[list(names)].to_numpy(dtype=float).ravel()


Column = tuple[str, tuple[str, ...]]


def _columns(chart: Chart, rows: pd.DataFrame) -> tuple[Column, ...]:
    """The columns of the table beneath the chart: a title, and a field or an interval's two."""
    names = dict(chart.names)
    titles = {"x": chart.x.title, "y": "value" if several(chart) else chart.up.title}
    titles["y"] = titles["y"] or chart.up.column
    shown = {"heat": (chart.x.column, chart.up.column), "interval": (chart.up.column,)}
    there = shown.get(chart.kind, (chart.x.column,))
    order = ("y", "x") if chart.kind == "interval" else ("x", "y")

    def called(column: str) -> Column:
        return names.get(column) or column, (column,)

    found: list[Column] = [called(name) for name in series_of(chart) if name not in there]
    found += [(titles[field], (field,)) for field in order]
    if chart.fill:
        found.append((chart.fill.title, ("fill",)))
    if ENDS[0] in rows:
        found.append(("95 %", ENDS))
    found += [(title, (f"beside_{i}",)) for i, (_, title) in enumerate(chart.beside)]
    found += [(what, (name,)) for name, what in chart.counts if name in rows]
    return (*found, *(called(name) for name in chart.more if name in rows))


def _panels(chart: Chart, table: pd.DataFrame) -> tuple[Panel, ...]:
    """The panels in order: those of a measure stand side by side.

    A measure that isn't known where a panel would be has none there: an AUROC without errors.
    """
    found: list[Panel] = []
    for title, where in _groups(chart, table):
        if not several(chart):
            found.append(Panel(title, where, chart.measured[0], len(found)))
            continue
        there = _within(table, where)
        for axis in chart.measured:
            if there[axis.column].notna().any():
                own = {MEASURE: measure(axis)}
                found.append(Panel(title, where | own, axis, len(found)))
    return tuple(found)


def _within(table: pd.DataFrame, where: Mapping[str, str]) -> pd.DataFrame:
    """The rows that have these values."""
    keep = np.ones(len(table), dtype=bool)
    for name, value in where.items():
        keep &= (table[name].map(text_of) == value).to_numpy()
    return table[keep]


def _groups(chart: Chart, table: pd.DataFrame) -> list[tuple[str, dict[str, str]]]:
    """The title and the values of each combination of the columns of panels."""
    if not chart.panels:
        return [("", {})]
    names, columns = dict(chart.names), list(chart.panels)
    kinds = table[columns].drop_duplicates().sort_values(columns, key=_order, kind="stable")
    found = []
    for values in kinds.itertuples(index=False):
        where = dict(zip(columns, map(text_of, values), strict=True))
        varying = [name for name in where if len(columns) == 1 or table[name].nunique() > 1]
        parts = [
            where[name] if name in ALONE else f"{names.get(name, name)} {where[name]}".strip()
            for name in varying or columns
            if where[name]
        ]
        found.append((", ".join(parts), where))
    return found


def _order(column: pd.Series) -> pd.Series:
    """Places by which a column's values are sorted: categories' own, others as they appear."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes
    return pd.Series(pd.factorize(column)[0], index=column.index)


def _ticks(chart: Chart, rows: Sequence[pd.DataFrame]) -> tuple[float, ...]:
    """The values of x where they are few and short, for axes that aren't linear."""
    if chart.kind not in ("line", "points") or chart.x.scale == "linear":
        return ()
    values = sorted({float(x) for table in rows for x in table["x"].dropna()})
    short = all(float(f"{value:.3g}") == value for value in values)
    return tuple(values) if short and len(values) <= FEW else ()
