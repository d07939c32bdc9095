"""The data of a chart: its rows as they are shown, its panels, and where its axes end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis.charts import MEASURE, Axis, Chart, ChartLayer
from mdlm_probe.analysis.frames import Tables

Source = tuple[Tables, pd.DataFrame]
"""A report's tables, and the rows they were made of."""
Limits = tuple[float, float]

ALL = ""
"""The name of all tasks together."""
ALONE = ("model", "task", "set", MEASURE)
"""Columns whose values say by themselves what they are."""
ENDS = ("low", "high")
LAYER = "layer"
"""The field that says which layer a row is of; the chart's own rows have none."""
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
        return {"heat": "fill", "interval": "x"}.get(self.chart.kind, "y")

    def own(self, task: str = ALL) -> pd.DataFrame:
        """The chart's own rows, without those of layers."""
        rows = self.rows[task]
        return rows[rows[LAYER].isna()] if LAYER in rows else rows

    def of(self, panel: Panel, task: str = ALL) -> pd.DataFrame:
        """A panel's rows; those that are of every panel, too."""
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
        names = [self.value, *(n for n in alike if n in ENDS or str(n).startswith("beside_"))]
        measured = _limits(alike[names], panel.axis, MARGIN)
        if chart.kind == "interval":
            return measured, (0.0, 1.0)
        margin = MARGIN / 2 if chart.kind == "line" else MARGIN
        return _limits(rows[["x", *_along(rows)]], chart.x, margin), measured

    def fill_limits(self) -> Limits:
        """The values at the ends of a heat map's colours."""
        colours = self.chart.colours
        if colours.ends:
            return colours.ends
        values = self.rows[ALL]["fill"].to_numpy(dtype=float)
        values = values[np.isfinite(values)]
        low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
        if colours.centred:
            high = max(colours.centred, abs(low), abs(high))
            low = -high
        return (_round(low), _round(high if high > low else low + 1.0))

    def counted(self, task: str = ALL) -> str:
        """How many its values are over: "n = 32 to 40 items, 4 sets"; "" where nobody says."""
        rows, parts = self.own(task), []
        for column, what in self.chart.counts:
            if column in rows and len(known := rows[column].dropna()):
                few, many = text_of(min(known)), text_of(max(known))
                parts.append(f"{few if few == many else f'{few} to {many}'} {what}")
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
        named = dict.fromkeys(known["over"]) if "over" in rows else {self.chart.over: None}
        return " or ".join(filter(None, named)) or "observations"


def chart_data(chart: Chart, sources: Mapping[str, Source]) -> ChartData | None:
    """A chart's data; None where there is nothing to see.

    Args:
        chart: what is declared.
        sources: by task; that of all tasks together is `ALL`, and comes first.
    """
    tables = {task: chart.rows(*source).reset_index(drop=True) for task, source in sources.items()}
    tables = {task: table for task, table in tables.items() if _measures(chart, table)}
    if ALL not in tables:
        return None
    chart = _known(chart, tables[ALL])
    series = _series(chart)
    shown = {task: _rows(chart, table, series) for task, table in tables.items()}
    whole = shown[ALL]
    columns = _columns(chart, whole, series)
    panels = _panels(chart, tables[ALL])
    rows = {
        task: _with_layers(chart, table, sources[task], series) for task, table in shown.items()
    }
    names = list(tables.values())
    return ChartData(
        chart=chart,
        rows=rows,
        columns=columns,
        panels=panels,
        colours=_values(names, chart.colour),
        kinds=_kinds(names, chart.colour),
        dashes=_values(names, chart.dash),
        labels=_labels(chart, names),
        ticks=_ticks(chart, list(shown.values())),
    )


def of_report(chart: Chart, tables: Tables, frame: pd.DataFrame) -> ChartData | None:
    """A chart's data of all tasks together."""
    return chart_data(chart, {ALL: (tables, frame)})


def _measures(chart: Chart, table: pd.DataFrame) -> list[Axis]:
    """The measured axes that a table has values of."""
    return [a for a in chart.measured if a.column in table and table[a.column].notna().any()]


def _known(chart: Chart, table: pd.DataFrame) -> Chart:
    """A chart without what its table doesn't have."""
    changed: dict[str, Any] = {
        "beside": tuple(b for b in chart.beside if b[0] in table and table[b[0]].notna().any())
    }
    if isinstance(chart.y, tuple):
        changed["y"] = tuple(_measures(chart, table))
    return Chart(**{**vars(chart), **changed})


def _several(chart: Chart) -> bool:
    """Whether each measure has panels of its own, by having an axis of its own."""
    return isinstance(chart.y, tuple)


def measure(axis: Axis) -> str:
    """What an axis shows, as a value of the column "measure"."""
    return " ".join(axis.title.split())


def _series(chart: Chart) -> list[str]:
    """The columns that tell rows apart, the model first."""
    names = [*chart.panels, chart.colour, chart.dash]
    names += [MEASURE] if _several(chart) else []
    return list(dict.fromkeys(sorted(filter(None, names), key=lambda name: name != "model")))


def _rows(chart: Chart, table: pd.DataFrame, series: Sequence[str]) -> pd.DataFrame:
    """A chart's rows by field: one of each measure for every row of its table."""
    found = pd.concat(
        [_of_measure(chart, table, axis) for axis in _measures(chart, table)], ignore_index=True
    )
    texts = {name: found[name].map(text_of).astype(object) for name in series}
    fields = [f for f in ("x", "y", "fill", *ENDS) if f in found]
    fields += [f"beside_{i}" for i, _ in enumerate(chart.beside)]
    kept = (chart.filled, *(name for name, _ in chart.counts), *chart.more, "over")
    fields += [name for name in dict.fromkeys(kept) if name in found and name not in series]
    return found.assign(**texts)[[*series, *fields]]


def _of_measure(chart: Chart, table: pd.DataFrame, axis: Axis) -> pd.DataFrame:
    out = table.copy()
    value = number(table[axis.column], axis.times)
    names = {"heat": (chart.x, chart.up), "interval": (chart.up,)}.get(chart.kind, ())
    for field, shown in (("x", chart.x), ("y", chart.up)):
        if shown in names:
            out[field] = table[shown.column].map(text_of).astype(object)
        elif shown.column in table and shown is not axis:
            out[field] = number(table[shown.column], shown.times)
    out[{"heat": "fill", "interval": "x"}.get(chart.kind, "y")] = value
    if axis.ends:
        for end in ENDS:
            out[end] = number(table[f"{axis.ends}_{end}"], axis.times)
    for i, (name, _) in enumerate(chart.beside):
        out[f"beside_{i}"] = number(table[name], axis.times)
    return out.assign(**{MEASURE: measure(axis)}) if _several(chart) else out


def _with_layers(
    chart: Chart, own: pd.DataFrame, source: Source, series: Sequence[str]
) -> pd.DataFrame:
    """The chart's rows, then those of its layers."""
    found = [_layer(chart, layer, i, source, series) for i, layer in enumerate(chart.layers)]
    found = [rows for rows in found if len(rows)]
    if not found:
        return own
    fields = dict.fromkeys(name for rows in (own, *found) for name in rows)
    return pd.concat([own.astype(object), *found], ignore_index=True).reindex(columns=list(fields))


def _layer(
    chart: Chart, layer: ChartLayer, place: int, source: Source, series: Sequence[str]
) -> pd.DataFrame:
    """A layer's rows by field, for each measure that it has."""
    table = layer.rows(*source)
    if not len(table):
        return pd.DataFrame()
    measured: list[Axis | None] = [a for a in chart.measured if a.column in table]
    parts = []
    for axis in measured or [None]:
        out = pd.DataFrame({LAYER: place}, index=table.index, dtype=object)
        for name in series:
            if name in table:
                out[name] = table[name].map(text_of)
        for field, shown in (("x", chart.x), ("y", axis or chart.up)):
            of = axis if axis and chart.kind == "interval" and field == "x" else shown
            named = chart.kind == "interval" and field == "y"
            of = chart.up if named else of
            if of.column in table:
                column = table[of.column]
                out[field] = column.map(text_of) if named else number(column, of.times)
        if layer.ends:
            for end in ENDS:
                out[f"x_{end}"] = number(table[f"{layer.ends}_{end}"], chart.x.times)
        if layer.text:
            out["text"] = table[layer.text].map(text_of)
        if axis and _several(chart):
            out[MEASURE] = measure(axis)
        parts.append(out)
    return pd.concat(parts, ignore_index=True).astype(object)


def _along(rows: pd.DataFrame) -> list[str]:
    """Fields of intervals along x."""
    return [f"x_{end}" for end in ENDS if f"x_{end}" in rows]


def _columns(
    chart: Chart, rows: pd.DataFrame, series: Sequence[str]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The columns of the table beneath the chart: a title, and a field or an interval's two."""
    names = dict(chart.names)
    titles = {"x": chart.x.title, "y": chart.up.title}
    if _several(chart):
        titles["y"] = "value"
    shown = {"heat": (chart.x.column, chart.up.column), "interval": (chart.up.column,)}
    there = shown.get(chart.kind, (chart.x.column,))
    found: list[tuple[str, tuple[str, ...]]] = [
        (names.get(name) or name, (name,)) for name in series if name not in there
    ]
    order = ("y", "x") if chart.kind == "interval" else ("x", "y")
    found += [(titles[field], (field,)) for field in order]
    if chart.fill:
        found.append((chart.fill.title, ("fill",)))
    if ENDS[0] in rows:
        found.append(("95 %", ENDS))
    found += [(title, (f"beside_{i}",)) for i, (_, title) in enumerate(chart.beside)]
    found += [(what, (name,)) for name, what in chart.counts if name in rows]
    found += [(names.get(name) or name, (name,)) for name in chart.more if name in rows]
    return tuple(found)


def _panels(chart: Chart, table: pd.DataFrame) -> tuple[Panel, ...]:
    """The panels in order: those of a measure stand side by side."""
    axes = chart.measured
    found: list[Panel] = []
    for title, where in _groups(chart, table):
        for axis in axes if _several(chart) else axes[:1]:
            own = {MEASURE: measure(axis)} if _several(chart) else {}
            found.append(Panel(title, where | own, axis, len(found)))
    return tuple(found)


def _groups(chart: Chart, table: pd.DataFrame) -> list[tuple[str, dict[str, str]]]:
    """The title and the values of each combination of the columns of panels."""
    if not chart.panels:
        return [("", {})]
    names = dict(chart.names)
    kinds = table[list(chart.panels)].drop_duplicates()
    kinds = kinds.sort_values(list(chart.panels), key=_order, kind="stable")
    found = []
    for values in kinds.itertuples(index=False):
        where = dict(zip(chart.panels, map(text_of, values), strict=True))
        several = [name for name in where if len(chart.panels) == 1 or table[name].nunique() > 1]
        parts = [
            where[name] if name in ALONE else f"{names.get(name, name)} {where[name]}".strip()
            for name in several or chart.panels
            if where[name]
        ]
        found.append((", ".join(parts), where))
    return found


def _order(column: pd.Series) -> pd.Series:
    """Places by which a column's values are sorted: categories' own, others as they appear."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes
    return pd.Series(pd.factorize(column)[0], index=column.index)


def _labels(
    chart: Chart, tables: Sequence[pd.DataFrame]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    across = _values(tables, chart.x.column) if chart.kind == "heat" else ()
    up = _values(tables, chart.up.column) if chart.kind in ("heat", "interval") else ()
    return across, up


def _ticks(chart: Chart, rows: Sequence[pd.DataFrame]) -> tuple[float, ...]:
    """The values of x where they are few and short, for axes that aren't linear."""
    if chart.kind not in ("line", "points") or chart.x.scale == "linear":
        return ()
    values = sorted({float(x) for table in rows for x in table["x"].dropna()})
    short = all(float(f"{value:.3g}") == value for value in values)
    return tuple(values) if short and len(values) <= FEW else ()


def _kinds(tables: Sequence[pd.DataFrame], column: str) -> tuple[str, ...]:
    """The categories of a column, also those that don't occur; of other columns its values."""
    first = tables[0].get(column)
    if first is not None and isinstance(first.dtype, pd.CategoricalDtype):
        return tuple(map(text_of, first.dtype.categories))
    return _values(tables, column)


def _values(tables: Sequence[pd.DataFrame], column: str) -> tuple[str, ...]:
    """A column's values: numbers and categories in order, others as they first appear."""
    if not column:
        return ()
    found = pd.concat([table[column] for table in tables if column in table]).drop_duplicates()
    if isinstance(found.dtype, pd.CategoricalDtype) or pd.api.types.is_numeric_dtype(found):
        found = found.sort_values()
    return tuple(map(text_of, found))


# ---------------------------------------------------------------------- numbers


def number(column: pd.Series, times: float = 1.0) -> pd.Series:
    """Values with as many digits as a CSV keeps, so that a chart says what its table says."""
    scaled = times * pd.to_numeric(column).astype(float)
    return scaled.map(lambda value: float(f"{value:.6g}"))


def text_of(value: Any) -> str:
    """A value that tells rows apart, as text."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _limits(values: pd.DataFrame, axis: Axis, margin: float) -> Limits:
    """The smallest and the largest value that an axis can show, and a margin."""
    known = values.to_numpy(dtype=float).ravel()
    known = known[np.isfinite(known) & ((known > 0) | (axis.scale != "log"))]
    if not len(known):
        return (1.0, 10.0) if axis.scale == "log" else (0.0, 1.0)
    low, high = _bent(np.array([known.min(), known.max()]), axis)
    apart = margin * (high - low) if high > low else _alone(axis)
    ends = _unbent(np.array([low - apart, high + apart]), axis)
    return _down(ends[0]), -_down(-ends[1])


def _alone(axis: Axis) -> float:
    """How far an axis reaches about its only value."""
    return np.log(2.0) if axis.scale == "log" else 0.5


def _bent(values: np.ndarray, axis: Axis) -> np.ndarray:
    """Values to where a scale has them."""
    bent: np.ndarray = values
    if axis.scale == "log":
        bent = np.log(values)
    elif axis.scale == "symlog":
        bent = np.sign(values) * np.log1p(np.abs(values) / axis.knee)
    return bent


def _unbent(places: np.ndarray, axis: Axis) -> np.ndarray:
    plain: np.ndarray = places
    if axis.scale == "log":
        plain = np.exp(places)
    elif axis.scale == "symlog":
        plain = np.sign(places) * np.expm1(np.abs(places)) * axis.knee
    return plain


def _round(value: float) -> float:
    return float(f"{value:.4g}")


def _down(value: float) -> float:
    """The largest number of six digits that isn't above a value."""
    near = float(f"{value:.6g}")
    if near <= value:
        return near
    step = 10.0 ** (np.floor(np.log10(abs(value))) - 5)
    return float(f"{near - step:.6g}")
