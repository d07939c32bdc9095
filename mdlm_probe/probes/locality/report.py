"""Accuracy against the position of the relevant examples, and the locality index."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.charts import Axis, Chart, over_sets
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.pairing import Measure, Pairing
from mdlm_probe.analysis.stats import corrected
from mdlm_probe.probes._few_shot.report_parts import ACCURACY, COUNTS, ITEM, P_RIGHT, PLACES

CURVE = ["model", "question", "masks", "position"]


def tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The report's tables by name: "accuracy" and "index".

    Raises:
        KeyError, ValueError: for rows that a locality run didn't write.
    """
    frame[["masks", "position", "correct", "logp_right"]].apply(pd.to_numeric)
    return {"accuracy": accuracy(frame), "index": index(frame)}


def accuracy(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of each model, question place, number of masks and position.

    Two 95 % intervals: over items (Wilson), and over sets (`stats.share_over`; the paper's, of
    the sets' means, fails near 100 %). `p_right` is the mean probability of the right answer, with
    The t interval over the sets' means, cut at 0 and 1.
    """
    rows = []
    for coordinates, part in frame.groupby(CURVE, observed=True, sort=False):
        items = stats.proportion(part["correct"].to_numpy())
        sets = stats.share_over(part["correct"].to_numpy(), part["set"].to_numpy())
        right = stats.mean_over(part.assign(p=np.exp(part["logp_right"])), "p", "set")
        rows.append(
            dict(zip(CURVE, coordinates, strict=True))
            | {"accuracy": items.mean, "n": items.n}
            | items.ends("items")
            | sets.ends("sets")
            | {"sets": sets.n}
            | {"p_right": float(np.exp(part["logp_right"]).mean())}
            | right.within(0.0, 1.0).ends("p_right")
        )
    table = pd.DataFrame(rows)
    table["question"] = pd.Categorical(table["question"], PLACES, ordered=True)
    order = {model: i for i, model in enumerate(frame["model"].unique())}
    return table.sort_values(
        CURVE, key=lambda c: c.map(order) if c.name == "model" else c, ignore_index=True
    )


def distance(frame: pd.DataFrame) -> pd.Series:
    """Examples between the relevant block and the question; 0 when they touch or overlap."""
    total = frame["distractors"] + frame["shots"]
    at = frame["question"].map({"left": 0.0, "middle": 0.5, "right": 1.0}).astype(float)
    question = np.floor(at * total)
    before = question - (frame["position"] + frame["shots"])
    apart: pd.Series = np.maximum(0, np.maximum(before, frame["position"] - question))
    return apart.astype(int)


def index(frame: pd.DataFrame) -> pd.DataFrame:
    """The locality index: accuracy nearest to the question minus farthest, over the same items.

    Over items: `stats.paired_hits`, whose exact sign test is McNemar's where one position each is
    nearest and farthest, and stricter than the interval. Over sets: a t test of the sets'
    differences. The items of a set share their examples, so that the interval and test over sets
    are the ones to trust; those over items say what holds for these examples. `_holm` are p-values
    corrected for a model's rows. A model without bias has index 0. Source: ours.
    """
    rows = []
    frame = frame.assign(distance=distance(frame))
    for coordinates, part in frame.groupby(CURVE[:3], observed=True, sort=False):
        near, far = part["distance"].min(), part["distance"].max()
        if near == far:
            continue
        unit = part.groupby(["set", "item", "distance"], observed=True)["correct"].mean().unstack()
        unit = unit[[near, far]].dropna()
        items = stats.paired_hits(unit[near].to_numpy(), unit[far].to_numpy())
        sets = stats.mean((unit[near] - unit[far]).groupby("set").mean().to_numpy())
        rows.append(
            dict(zip(CURVE[:3], coordinates, strict=True))
            | {"nearest_distance": near, "farthest_distance": far}
            | {"index": items.mean, "n": items.n}
            | items.within(-1.0, 1.0).ends("items")
            | {"items_p": items.p}
            | sets.within(-1.0, 1.0).ends("sets")
            | {"sets_p": sets.p, "sets": sets.n}
        )
    return corrected(pd.DataFrame(rows), ("items", "sets"))


# ---------------------------------------------------------------------- charts


READ = (
    "A flat line at 100 % finds the relevant examples wherever they stand. A line that falls to the"
    " left of a question at the right end is recency; the locality index says how much, and 0 is no"
    " bias. Bands are 95 % over sets; where there is one set, over its items."
)
TASK = "set"
MASKS = "{masks} (0 is one mask, closed)"


def task_tables(frame: pd.DataFrame) -> Tables:
    """The tables that the charts of a set need."""
    return {"accuracy": accuracy(frame)}


def _accuracy(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    chance = 1 / frame["options"].max()
    return over_sets(tables["accuracy"]).assign(chance=chance)


def _certain(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The probabilities, of which one set has no interval."""
    return tables["accuracy"].assign(over="sets")


def _under_masks(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """Both measures, where there are several numbers of masks."""
    table = over_sets(tables["accuracy"])
    if table["masks"].nunique() < 2:
        return pd.DataFrame()
    names = {k: "one mask, closed" if k == 0 else f"{k} masks" for k in sorted(set(table["masks"]))}
    masks = pd.Categorical(table["masks"].map(names), list(names.values()), ordered=True)
    return table.assign(masks=masks)


POSITION = Axis("position", "distractors left of the relevant block")
CHARTS = (
    Chart(
        "",
        "Accuracy by position of the relevant examples",
        _accuracy,
        "line",
        POSITION,
        ACCURACY,
        dash="masks",
        panels=("question",),
        counts=COUNTS,
        beside=(("chance", "chance (%)"),),
    ),
    Chart(
        "p_right",
        "Probability of the right answer by position of the relevant examples",
        _certain,
        "line",
        POSITION,
        P_RIGHT,
        dash="masks",
        panels=("question",),
        counts=COUNTS,
    ),
    Chart(
        "masks",
        "Position of the relevant examples, under masks at the question",
        _under_masks,
        "line",
        POSITION,
        (ACCURACY, P_RIGHT),
        colour="masks",
        panels=("model", "question"),
        counts=COUNTS,
    ),
)


# ---------------------------------------------------------------------- comparing


def answered(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with the probability of the right answer, `p_right`."""
    return frame.assign(p_right=np.exp(pd.to_numeric(frame["logp_right"])))


def nearness(frame: pd.DataFrame) -> pd.DataFrame:
    """The locality index of each item: nearest to the question minus farthest, 1, 0 or -1."""
    keys = [*CURVE[1:3], "nearest", "farthest", "set", "item"]
    frame = frame.assign(distance=distance(frame))
    by = frame.groupby(CURVE[:3], observed=True)["distance"]
    frame = frame.assign(nearest=by.transform("min"), farthest=by.transform("max"))
    frame = frame[frame["nearest"] < frame["farthest"]]
    ends = [
        frame[frame["distance"] == frame[end]].groupby(keys, observed=True, sort=False)["correct"]
        for end in ("nearest", "farthest")
    ]
    index = ends[0].mean() - ends[1].mean()
    return index.rename("index").dropna().reset_index()


PAIRED = (
    Pairing(
        {
            "correct": Measure("accuracy (points)", hits=True, scale=100),
            "p_right": Measure("probability of the right answer (points)", scale=100),
        },
        item=ITEM,
        by=("question", "masks", "position"),
        cluster="set",
        rows=answered,
    ),
    Pairing(
        {"index": Measure("locality index (points)", scale=100)},
        item=ITEM,
        by=("question", "masks", "nearest", "farthest"),
        cluster="set",
        name="index",
        rows=nearness,
    ),
)
