"""Differences of two measurements over their common items, line by line, with tests.

Items of a cluster (a relevant task of a few-shot suite) are alike, so that tests are over clusters
where there are several; over items elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from mdlm_probe.analysis import power, stats
from mdlm_probe.analysis.pairing import SIDES, Measure, Pairing, Pairs

Points = Literal["main", "all", "none"]
"""Which measures have a line for each point of the sweep: the first, all, or none."""

EVERY = "(all)"
"""A coordinate of lines that average over it; no value of one is called so."""

COLUMNS = (
    *("a", "b", "difference", "difference_low", "difference_high", "p", "dz"),
    *("gained", "lost", "odds", "least", "n", "clusters"),
)
"""Columns of a line behind its coordinates and its measure; see `compared`."""


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
      test of single hits, a t test of anything else. p is each line's own; `corrected` adds
      p_holm.
    - dz: Cohen's, of the units that the test is over: the mean difference by the differences'
      standard deviation.
    - gained, lost, odds: of hits, items that have more of them in b, or in a, and the ratio of
      these counts; of single hits that is the odds ratio of discordant pairs.
    - least: the smallest true difference of which this line's own test would have had a p under 5 %
      in 80 % of cases, before Holm's correction, in the measure's unit (`power`). NaN where there
      are too few items for any such p.
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
    found, least = _test(gaps, cluster if several else "", measure)
    ends = np.array([found.low, found.high])
    ends = measure.scale * (np.clip(ends, -1, 1) if measure.hits else ends)
    tested = (inner if several else gaps).to_numpy()
    line: dict[str, Any] = {name: measure.scale * units[name].mean() for name in ("a", "b")}
    line |= {"difference": measure.scale * gaps.mean()}
    line |= {"difference_low": ends[0], "difference_high": ends[1], "p": found.p}
    line["dz"] = stats.cohen_dz(tested) if np.ptp(tested) > 0 else np.nan
    if measure.hits:
        gained, lost = int((gaps > 0).sum()), int((gaps < 0).sum())
        odds = gained / lost if lost else np.inf if gained else np.nan
        line |= {"gained": gained, "lost": lost, "odds": odds}
    line["least"] = measure.scale * least
    return line | {"n": len(gaps)} | ({"clusters": len(inner)} if cluster else {})


def _test(gaps: pd.Series, cluster: str, measure: Measure) -> tuple[stats.Estimate, float]:
    """The estimate and test of items' differences, over clusters if any; and what it would show."""
    values = gaps.to_numpy()
    if cluster:
        codes = pd.factorize(gaps.index.get_level_values(cluster))[0]
        return stats.clustered(values, codes), power.by_clusters(values, codes)
    if measure.hits and np.isin(values, (-1, 0, 1)).all():
        found = stats.paired_hits(values, np.zeros(len(values)))
        return found, power.by_signs(len(values), int(np.count_nonzero(values)))
    return stats.mean(values), stats.minimum_detectable_effect(values)


def corrected(tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """The tables with p-values that Holm's method corrects by family, as `p_holm`.

    The lines over whole sweeps, of all tables, are one family: what differs at all. The points of
    each measure of a table are one of their own: where it differs.
    """
    out = [table.assign(p_holm=np.nan) for table in tables]
    for family in families(out):
        p = iter(stats.holm([out[place]["p"].iloc[line] for place, line in family]))
        for place, line in family:
            out[place].iloc[line, -1] = float(next(p))
    for table in out:
        table.insert(list(table.columns).index("p") + 1, "p_holm", table.pop("p_holm"))
    return out


def families(tables: Sequence[pd.DataFrame]) -> list[list[tuple[int, int]]]:
    """The families of tests, each as (table, line): first that of lines over whole sweeps."""
    over: list[tuple[int, int]] = []
    points: dict[tuple[int, str], list[tuple[int, int]]] = {}
    for place, table in enumerate(tables):
        whole = (table[swept(table)] == EVERY).all(axis=1)
        for line, (every, measure) in enumerate(zip(whole, table["measure"], strict=True)):
            family = over if every else points.setdefault((place, measure), [])
            family.append((place, line))
    return [over, *points.values()]


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
