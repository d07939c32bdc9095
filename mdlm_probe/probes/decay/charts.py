"""Charts of decay: certainty, masses and divergence against distance."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart, ChartLayer, HeatColours, Rows
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.probes.decay import homogenisation, report
from mdlm_probe.probes.decay.predictability import ENOUGH
from mdlm_probe.probes.decay.series import SERIES

READ = (
    "Far from visible text a marginal falls back on what is frequent: its largest probability"
    " falls, and neighbours become alike, and so do different prompts. The half-distance is where"
    " the fall to the middle of the canvas is half done; near its end marginals are others. The"
    " bound is ours, of a language whose next token is Zipfian. Bands are 95 % over prompts."
)
TASK = "task"
MASKS = "{masks} on the canvas"
LEAST = 1e-4
"""Divergence (nats) below which colours no longer tell apart."""


def task_tables(frame: dict[str, pd.DataFrame]) -> Tables:
    """The tables that the charts of a task need."""
    found = {
        "curve": report.curve(frame["places"]),
        "half": report.half(frame["places"]),
        "neighbours": report.neighbours(frame["pairs"]),
        "matrix": report.matrix(frame["pairs"]),
        "prompts": report.prompts(frame["prompts"]),
        "edge": report.edge(frame["edge"]),
    }
    return {name: table for name, table in found.items() if len(table)}


def _curve(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return _ways(tables["curve"])


def _near(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return _ways(tables.get("neighbours", pd.DataFrame()))


def _prompts(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return _ways(tables.get("prompts", pd.DataFrame()))


def _edge(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return _ways(tables.get("edge", pd.DataFrame()))


def _matrix(tables: Tables, frame: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Every pair of masks of the grid, both ways; those that are only somebody's neighbour not.

    A mask is as it is itself.
    """
    table = tables.get("matrix", pd.DataFrame())
    if not len(table):
        return table
    lags = set(frame["pairs"]["lag"])
    compared = table[~(table["other_place"] - table["place"]).isin(lags)]
    places = {*table["place"], *compared["other_place"]}
    table = table[table["other_place"].isin(places)]
    mirrored = table.rename(columns={"place": "other_place", "other_place": "place"})
    both = pd.concat([table, mirrored], ignore_index=True)
    same = both.drop_duplicates([*SERIES, "place"])
    whole = pd.concat([both, same.assign(other_place=same["place"], js=0.0)], ignore_index=True)
    pairs = frame["pairs"].groupby(SERIES, observed=True)["prompt"]
    whole = whole.join(pairs.nunique().rename("n"), on=SERIES)
    return _ways(whole.assign(js=whole["js"].clip(lower=LEAST)))


def _ways(table: pd.DataFrame) -> pd.DataFrame:
    """A column `way`: where the text is, and how many masks there are."""
    if not len(table):
        return table
    sides = table["context"].map({"both": "text on both sides"}).fillna("text on the left")
    return table.assign(way=sides + ", " + table["masks"].astype(str) + " masks")


def _half(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The half-distances, at the height that is half of the way down; open ends at the last one."""
    table = tables.get("half", pd.DataFrame())
    table = table.dropna(subset=["half"]) if len(table) else table
    if not len(table):
        return table
    last = tables["curve"]["distance"].max()
    height = (table["first"] + table["far"]) / 2
    ends = {f"half{end}": table[f"half{end}"].clip(upper=last) for end in ("_low", "_high")}
    return _ways(table).assign(distance=table["half"], top1_prob=height, **ends)


def _predictability(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """Half-distances of tasks from the least entropy up, where there are enough of them.

    Open ends of intervals stand at the farthest distance that was measured.
    """
    table = tables.get("predictability", pd.DataFrame())
    table = table.dropna(subset=["half"]) if len(table) else table
    if not len(table) or table["task"].nunique() < ENOUGH:
        return pd.DataFrame()
    last = tables["curve"]["distance"].max()
    entropies = table["next_entropy"].map("{:.2f} nats".format)
    named = table["task"].astype(str) + ", " + entropies
    found = _ways(table).assign(half_high=table["half_high"].clip(upper=last), named=named)
    return found.sort_values(["model", "next_entropy"], kind="stable")


def _thresholds(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"js": homogenisation.THRESHOLDS})


DISTANCE = Axis("distance", "distance to the nearest visible token", scale="log")
JS = Axis("js", "Jensen-Shannon divergence (nats)", scale="log", ends="js")
NAMES = (("way", ""),)
COUNTS = (("n", "prompts"),)
ALIKE = ", ".join(f"{nats:g}" for nats in homogenisation.THRESHOLDS)


def _lines(name: str, title: str, rows: Rows, y: Axis | tuple[Axis, ...], **own: Any) -> Chart:
    """A line for each way the text lies, a panel for each task, bands over prompts."""
    shared = {"x": DISTANCE, "dash": "way", "panels": ("task",), "over": "prompts"}
    given: dict[str, Any] = shared | {"names": NAMES, "counts": COUNTS} | own
    return Chart(name, title, rows, "line", y=y, **given)


CHARTS = (
    _lines(
        "",
        "Certainty against distance to the nearest visible token",
        _curve,
        Axis("top1_prob", "largest probability (%)", 100, ends="top1_prob"),
        more=("common",),
        beside=(("bound", "our bound (%)"), ("greedy", "greedy path's token, our theory (%)")),
        layers=(ChartLayer("half-distance", _half, "point", ends="half"),),
    ),
    _lines(
        "mass",
        "Where the probability goes",
        _curve,
        (
            Axis("frequent_mass", "frequent tokens (%)", 100, ends="frequent_mass"),
            Axis("prompt_mass", "the prompt's tokens (%)", 100, ends="prompt_mass"),
            Axis("end_mass", "end of text (%)", 100, ends="end_mass"),
        ),
    ),
    Chart(
        "homogenisation",
        "How far the marginals at two masks are apart: means over prompts",
        _matrix,
        "heat",
        Axis("place", "mask, from the left"),
        Axis("other_place", "mask, from the left"),
        fill=Axis("js", "Jensen-Shannon divergence (nats)", scale="log"),
        panels=("model", "way", "task"),
        names=NAMES,
        counts=COUNTS,
        colours=HeatColours("magma", ends=(LEAST, 0.693147)),
    ),
    _lines(
        "neighbours",
        "How alike marginals at neighbouring distances are",
        _near,
        JS,
        counts=(*COUNTS, ("lag", "tokens apart")),
        layers=(ChartLayer(f"thresholds: {ALIKE} nats", _thresholds, "rule"),),
    ),
    _lines(
        "prompts",
        "How far apart the marginals after different prompts are, at equal distance",
        _prompts,
        JS,
    ),
    _lines(
        "edge",
        "What the end of the canvas does: the same mask in a longer canvas",
        _edge,
        JS,
        x=Axis("from_end", "masks to the end of the canvas", scale="log"),
    ),
    Chart(
        "predictability",
        "Half-distance by how hard a text is to continue: easiest first",
        _predictability,
        "interval",
        Axis("half", "half-distance (tokens)", scale="log", ends="half"),
        Axis("named", "task, entropy of the first mask"),
        colour="way",
        panels=("model",),
        counts=COUNTS,
        over="prompts",
    ),
)
