"""The picture of a comparison: differences with their intervals, a panel for each measure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis.chart_data import ChartData, of_report
from mdlm_probe.analysis.charts import MEASURE, Axis, Chart, at
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.paired_differences import EVERY, named, swept

SURE = 0.05
"""Corrected p-values under it are drawn filled."""
KINDS = ("the whole sweep", "a point of it")


def forest(tables: Tables, title: str, left: str, right: str) -> ChartData:
    """Panels below each other: a difference and its interval in every line, and a rule at 0.

    Filled: differs at 5 % after Holm's correction in its family. All points of the sweep together
    have a colour of their own.

    Args:
        tables: lines of a comparison by the name of what is compared.
        title: the probe's name.
        left, right: what the first and the second side are called.
    """
    chart = Chart(
        "",
        f"{title}: {right} minus {left}",
        _lines,
        "interval",
        Axis("difference", "difference", ends="difference"),
        Axis("point", ""),
        colour="kind",
        filled="sure",
        panels=(MEASURE,),
        names=(("sure", f"filled: p < {SURE:g} after Holm's correction"),),
        counts=(("n", "items"), ("clusters", "clusters of them")),
        layers=(at("", difference=0.0),),
    )
    data = of_report(chart, tables, pd.DataFrame())
    assert data, "there is a line, or nothing was compared"
    return data


def _lines(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The lines of all tables, with their names and whether they differ."""
    parts = []
    for name, table in tables.items():
        sweep = swept(table)
        every = (table[sweep] == EVERY).all(axis=1)
        several = table["clusters"] > 1 if "clusters" in table else np.zeros(len(table), dtype=bool)
        measure = table["measure"].astype(str)
        found: dict[str, Any] = {
            MEASURE: f"{name}: " + measure if name else measure,
            "point": [named(line, sweep) for _, line in table.iterrows()],
            "kind": pd.Categorical(np.where(every, *KINDS), KINDS, ordered=True),
            "sure": table["p_holm"].astype(float) < SURE,
            "over": np.where(several, "clusters of items", "items"),
        }
        kept = ["n", "clusters", "difference", "difference_low", "difference_high"]
        parts.append(table[[column for column in kept if column in table]].assign(**found))
    both = pd.concat(parts, ignore_index=True)
    return both.assign(kind=pd.Categorical(both["kind"], KINDS, ordered=True))
