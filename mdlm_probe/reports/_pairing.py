"""Two measurements of a probe side by side: their common items, and the differences of these.

A report says in `PAIRED` what an item of its probe is and what is compared. Items of a cluster (the
sets of a suite) share their examples, so that tests are over clusters where there are several; over
items elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from mdlm_probe import stats

Points = Literal["main", "all", "none"]
"""Which measures have a line for each point of the sweep: the first, all, or none."""

EVERY = "(all)"
"""A coordinate of lines that average over it; no value of one is called so."""

SIDES = ("_a", "_b")
COLUMNS = (
    *("a", "b", "difference", "difference_low", "difference_high", "p", "dz"),
    *("gained", "lost", "odds", "least", "n", "clusters"),
)
"""Columns of a line behind its coordinates and its measure; see `compared`."""


@dataclass(frozen=True)
class Measure:
    """A column that is compared.

    Attributes:
        label: its name in tables and figures, with its unit.
        hits: whether rows are yes or no, 1 or 0.
        scale: what values are multiplied with: 100 for points of 100.
    """

    label: str
    hits: bool = False
    scale: float = 1.0


@dataclass(frozen=True)
class Pairing:
    """What two measurements of a probe share, item by item.

    Attributes:
        measures: by column; the first is the main one.
        item: columns that name an independent item; none: every coordinate does.
        by: the sweep that every item goes through.
        cluster: the column of `item` whose items aren't independent; "" for none.
        name: what is compared, where a probe has several such things.
        rows: makes rows with `measures` from a probe's, keeping coordinates that must be equal.
        free: coordinates that may differ within a pair, since they change no measure.
    """

    measures: dict[str, Measure]
    item: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    cluster: str = ""
    name: str = ""
    rows: Callable[[pd.DataFrame], pd.DataFrame] = pd.DataFrame.copy
    free: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pairs:
    """Rows of two measurements by their common coordinates.

    Attributes:
        rows: the coordinates as text, and every measure twice, with the `SIDES` as suffixes.
        item: columns that name an item.
        sweep: coordinates with several values that aren't part of an item's name.
        alone: items that only the first has, and only the second.
    """

    rows: pd.DataFrame
    item: tuple[str, ...]
    sweep: tuple[str, ...]
    alone: tuple[int, int]


def plain(frame: pd.DataFrame, coordinates: Sequence[str]) -> Pairing:
    """The pairing where a report declares none: a cell is an item, every number a measure."""
    numbers = frame.drop(columns=["model", *coordinates], errors="ignore").select_dtypes("number")
    return Pairing(
        {str(name): Measure(str(name)) for name in numbers if numbers[name].notna().any()}
    )


def text_of(value: Any) -> str:
    """A coordinate as text: equal ones are equal however pandas read their column."""
    if value is None or value != value:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    return format(value, ".6g") if isinstance(value, (int, float, np.number)) else str(value)


def keyed(frame: pd.DataFrame, pairing: Pairing, keys: Sequence[str]) -> pd.DataFrame:
    """The measures by coordinates as text; rows that share all of these are averaged."""
    values = frame[list(pairing.measures)].apply(pd.to_numeric).astype(float)
    names = {key: frame[key].astype(object).map(text_of) for key in keys}
    return values.assign(**names).groupby(list(keys), sort=False).mean().reset_index()


def pair(
    first: pd.DataFrame, second: pd.DataFrame, pairing: Pairing, coordinates: Sequence[str]
) -> Pairs:
    """Rows of two measurements that have the same coordinates, whatever their order.

    Args:
        first, second: a probe's rows, of one model each.
        pairing: what is compared.
        coordinates: columns that must be equal, those of `item` and `by` left out or not.

    Raises:
        KeyError, ValueError: for rows that the probe didn't write.
    """
    frames = [pairing.rows(frame) for frame in (first, second)]
    fixed = [
        name
        for name in coordinates
        if name not in (*pairing.item, *pairing.by, *pairing.free)
        and all(name in frame for frame in frames)
    ]
    item = pairing.item or tuple(fixed)
    keys = list(dict.fromkeys((*item, *pairing.by, *fixed)))
    both = [keyed(frame, pairing, keys) for frame in frames]
    rows = both[0].merge(both[1], on=keys, suffixes=SIDES)
    sweep = [key for key in keys if key not in item and rows[key].nunique() > 1]
    names = [set(side[list(item)].itertuples(index=False, name=None)) for side in (*both, rows)]
    return Pairs(rows, item, tuple(sweep), (len(names[0] - names[2]), len(names[1] - names[2])))


# ---------------------------------------------------------------------- lines


def lines(pairs: Pairs, pairing: Pairing, points: Points = "main") -> pd.DataFrame:
    """A line for every measure, items averaged over the sweep, then one for each of its points.

    `a` and `b` are means over the paired items, `difference` is b minus a with its 95 % interval
    and test; see `compared` for the other columns.
    """
    found, swept = [], () if points == "none" else pairs.sweep
    for place, (name, measure) in enumerate(pairing.measures.items()):
        sides = [f"{name}{side}" for side in SIDES]
        own = pairs.rows.dropna(subset=sides).rename(columns=dict(zip(sides, "ab", strict=True)))
        if not len(own):
            continue
        head = dict.fromkeys(swept, EVERY) | {"measure": measure.label}
        found.append(head | compared(own, measure, pairs.item, pairing.cluster))
        if not swept or (place and points == "main"):
            continue
        for key, part in own.groupby(list(swept), sort=False):
            at = dict(zip(swept, key, strict=True)) | {"measure": measure.label}
            found.append(at | compared(part, measure, pairs.item, pairing.cluster))
    table = pd.DataFrame(found)
    order = [name for name in (*swept, "measure", *COLUMNS) if name in table]
    counts = {name: "Int64" for name in ("gained", "lost") if name in table}
    return table[order].astype(counts)


def compared(
    rows: pd.DataFrame, measure: Measure, item: Sequence[str], cluster: str = ""
) -> dict[str, Any]:
    """The difference b minus a of paired rows, over items that are averaged over their rows.

    - over clusters where there are several: `stats.clustered`; else over items: McNemar's exact
      test of single hits, Student's of anything else.
    - dz: Cohen's, of the units that the test is over: the mean difference by the differences'
      standard deviation.
    - gained, lost, odds: of hits, rows where only b, or only a, is one, and their ratio: the odds
      ratio of discordant pairs.
    - least: the smallest true difference that so many units would have shown with 80 % power at
      the 5 % level, in the measure's unit.
    - n: items; clusters: of them, where they come in any.

    Args:
        rows: columns `a`, `b`, and those that name an item.
        measure: what they hold.
        item: columns that name an item.
        cluster: the one of them whose items aren't independent.
    """
    units = rows.groupby(list(item), sort=False)[["a", "b"]].mean()
    gaps = (units["b"] - units["a"]).round(12)  # averages of equal values are equal
    inner = gaps.groupby(level=cluster, sort=False).mean() if cluster else gaps
    several = bool(cluster) and len(inner) > 1
    found = _test(gaps, inner if several else gaps, measure, cluster)
    ends = np.array([found.low, found.high])
    ends = measure.scale * (np.clip(ends, -1, 1) if measure.hits else ends)
    tested = (inner if several else gaps).to_numpy()
    apart = np.ptp(tested) > 0
    line: dict[str, Any] = {name: measure.scale * units[name].mean() for name in ("a", "b")}
    line |= {"difference": measure.scale * gaps.mean()}
    line |= {"difference_low": ends[0], "difference_high": ends[1], "p": found.p}
    line["dz"] = stats.cohen_dz(tested) if apart else np.nan
    if measure.hits:
        gained, lost = int((rows["b"] > rows["a"]).sum()), int((rows["b"] < rows["a"]).sum())
        odds = gained / lost if lost else np.inf if gained else np.nan
        line |= {"gained": gained, "lost": lost, "odds": odds}
    line["least"] = measure.scale * stats.least(tested) if apart else np.nan
    return line | {"n": len(gaps)} | ({"clusters": len(inner)} if cluster else {})


def _test(gaps: pd.Series, tested: pd.Series, measure: Measure, cluster: str) -> stats.Estimate:
    """The estimate and test of items' differences, over what is independent."""
    values = gaps.to_numpy()
    if tested is not gaps:
        return stats.clustered(values, gaps.index.get_level_values(cluster).to_numpy())
    if measure.hits and np.isin(values, (-1, 0, 1)).all():
        return stats.paired_hits(values, np.zeros(len(values)))
    return stats.mean(values)


def corrected(tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """The tables with p-values that Holm's method corrects over all their lines together."""
    p = iter(stats.holm([value for table in tables for value in table["p"]]))
    out = []
    for table in tables:
        table = table.copy()
        table.insert(table.columns.get_loc("p") + 1, "p_holm", [float(next(p)) for _ in table["p"]])
        out.append(table)
    return out


def swept(table: pd.DataFrame) -> list[str]:
    """The coordinates of a table's lines: the columns before the measure."""
    return list(table.columns[: table.columns.get_loc("measure")])


def named(line: pd.Series, sweep: Sequence[str]) -> str:
    """A line's name: its coordinates."""
    if not sweep or (line[list(sweep)] == EVERY).all():
        return "all"
    return ", ".join(f"{name} {line[name]}" for name in sweep)


def apart(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Lines over the whole sweep, and lines of its points by their measure: narrower tables."""
    sweep = swept(table)
    over = (table[sweep] == EVERY).all(axis=1)
    points = table[~over].groupby("measure", sort=False)
    return table[over].drop(columns=sweep), {
        str(measure): part.drop(columns="measure") for measure, part in points
    }
