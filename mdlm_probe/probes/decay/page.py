"""Decay on the page: certainty, masses and divergence against distance."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.probes.decay import figures, report

READ = (
    "Far from visible text a marginal falls back on what is frequent: its largest probability"
    " falls, and neighbours become alike. The half-distance is where the fall is half done; the"
    " bound is ours, of a language whose next token is Zipfian. Bands are 95 % over prompts."
)
TASK = "task"
MASKS = "{masks} on the canvas"
SERIES = ("context", "masks")


def tables(frame: pd.DataFrame) -> Tables:
    """The tables that the charts of a task need."""
    found = {
        "curve": report.curve(frame),
        "neighbours": report.neighbours(frame),
        "matrix": report.matrix(frame),
    }
    return {name: table for name, table in found.items() if len(table)}


def _curve(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return _ways(tables["curve"])


def _near(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return _ways(tables.get("neighbours", pd.DataFrame()))


def _matrix(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """Every pair of masks of the grid, both ways; those that are only somebody's neighbour not."""
    table = tables.get("matrix", pd.DataFrame())
    if not len(table):
        return table
    lags = set(frame["lag"])
    compared = table[~(table["other"] - table["place"]).isin(lags)]
    places = {*table["place"], *compared["other"]}
    table = table[table["other"].isin(places)]
    table = _ways(table.assign(js=table["js"].clip(lower=figures.LEAST)))
    mirrored = table.rename(columns={"place": "other", "other": "place"})
    return pd.concat([table, mirrored], ignore_index=True)


def _ways(table: pd.DataFrame) -> pd.DataFrame:
    """A column `way`: where the text is, and how many masks there are."""
    if not len(table):
        return table
    sides = table["context"].map({"both": "text on both sides"}).fillna("text on the left")
    return table.assign(way=sides + ", " + table["masks"].astype(str) + " masks")


DISTANCE = Axis("distance", "distance to the nearest visible token", log=True)
CHARTS = (
    Chart(
        "certainty",
        "Largest probability against distance",
        _curve,
        "line",
        DISTANCE,
        Axis("top1_prob", "largest probability (%)", 100, ends="top1_prob"),
        dash="way",
        panels=("task",),
        names=(("n", "prompts"), ("way", "")),
        more=("n", "common"),
        beside=(("bound", "our bound (%)"), ("greedy", "greedy path's token, our theory (%)")),
    ),
    Chart(
        "homogenisation",
        "Divergence between the marginals at two masks",
        _matrix,
        "heat",
        Axis("place", "mask, from the left"),
        Axis("other", "mask, from the left"),
        fill=Axis("js", "Jensen-Shannon divergence (nats)", log=True),
        panels=("model", "task", "way"),
        names=(("way", ""),),
        scheme="magma",
        ends=(figures.LEAST, 0.693147),
    ),
    Chart(
        "neighbours",
        "Divergence between neighbours against distance",
        _near,
        "line",
        DISTANCE,
        Axis("js", "Jensen-Shannon divergence (nats)", log=True, ends="js"),
        dash="way",
        panels=("task",),
        names=(("n", "prompts"), ("way", "")),
    ),
)
