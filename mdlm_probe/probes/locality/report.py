"""Accuracy against the position of the relevant examples, and the locality index."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.charts import TASKS, Axis, Chart, best_ends
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.pairing import Measure, Pairing
from mdlm_probe.analysis.stats import corrected
from mdlm_probe.probes._few_shot import report_parts
from mdlm_probe.probes._few_shot.report_parts import (
    ACCURACY,
    COUNTS,
    ITEM,
    P_RIGHT,
    PLACES,
    RELEVANT,
    over_items,
    over_tasks,
    with_task,
)

CURVE = ["model", "question", "masks", "position"]
notes = report_parts.notes


def tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The report's tables by name: "accuracy" and "index".

    Raises:
        KeyError, ValueError: for rows that a locality run didn't write.
    """
    frame[["masks", "position", "correct", "logp_right"]].apply(pd.to_numeric)
    return {"accuracy": accuracy(frame), "index": index(frame)}


def accuracy(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of each model, question place, number of masks and position.

    Two 95 % intervals: over the `n` items (Wilson), and over the relevant `tasks`
    (`stats.share_over`; the paper's, of the sets' means, takes two sets of a task for two units,
    and fails near 100 %). `p_right` is the mean probability of the right answer, with the t
    interval over relevant tasks, cut at 0 and 1.
    """
    rows = []
    frame = with_task(frame)
    for coordinates, part in frame.groupby(CURVE, observed=True, sort=False):
        items = stats.proportion(part["correct"].to_numpy())
        tasks = stats.share_over(part["correct"].to_numpy(), part[RELEVANT].to_numpy())
        right = stats.clustered(np.exp(part["logp_right"].to_numpy()), part[RELEVANT].to_numpy())
        rows.append(
            dict(zip(CURVE, coordinates, strict=True))
            | {"accuracy": items.mean, "n": items.n}
            | items.ends("items")
            | tasks.ends("tasks")
            | {"tasks": tasks.n, "p_right": right.mean}
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
    nearest and farthest, and stricter than the interval. Over relevant tasks: a t test of the
    tasks' differences. The items of a set share their examples and the sets of a relevant task all
    but their distractors, so that the interval and test over tasks are the ones to trust; those
    over items say what holds for these examples. `_holm` are p-values corrected for a model's rows.
    A model without bias has index 0. Source: ours.
    """
    rows = []
    frame = with_task(frame).assign(distance=distance(frame))
    for coordinates, part in frame.groupby(CURVE[:3], observed=True, sort=False):
        near, far = part["distance"].min(), part["distance"].max()
        if near == far:
            continue
        unit = part.groupby([*ITEM, "distance"], observed=True)["correct"].mean().unstack()
        gaps = (unit[near] - unit[far]).dropna()
        items, tasks = over_items(gaps, hits=True), over_tasks(gaps)
        rows.append(
            dict(zip(CURVE[:3], coordinates, strict=True))
            | {"nearest_distance": near, "farthest_distance": far}
            | {"index": items.mean, "n": items.n}
            | items.within(-1.0, 1.0).ends("items")
            | {"items_p": items.p}
            | tasks.within(-1.0, 1.0).ends("tasks")
            | {"tasks_p": tasks.p, "tasks": tasks.n}
        )
    return corrected(pd.DataFrame(rows), ("items", "tasks"))


# ---------------------------------------------------------------------- charts


READ = (
    "A flat line at 100 % finds the relevant examples wherever they stand. A line that falls to the"
    " left of a question at the right end is recency; the locality index says how much, and 0 is no"
    " bias. Bands are 95 % over relevant tasks, the independent unit: the sets of a task are alike."
    " Where there is one task, they are over its items."
)
TASK = "set"
MASKS = "{masks} (0 is one mask, closed)"


def task_tables(frame: pd.DataFrame) -> Tables:
    """The tables that the charts of a set need."""
    return {"accuracy": accuracy(frame)}


def _accuracy(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    chance = 1 / frame["options"].max()
    return best_ends(tables["accuracy"]).assign(chance=chance)


def _certain(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The probabilities, of which one relevant task has no interval."""
    return tables["accuracy"].assign(over=TASKS)


def _under_masks(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """Both measures, where there are several numbers of masks."""
    table = best_ends(tables["accuracy"])
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
    return with_task(frame).assign(p_right=np.exp(pd.to_numeric(frame["logp_right"])))


def nearness(frame: pd.DataFrame) -> pd.DataFrame:
    """The locality index of each item: nearest to the question minus farthest, 1, 0 or -1."""
    keys = [*CURVE[1:3], "nearest", "farthest", *ITEM]
    frame = with_task(frame).assign(distance=distance(frame))
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
        cluster=RELEVANT,
        rows=answered,
    ),
    Pairing(
        {"index": Measure("locality index (points)", scale=100)},
        item=ITEM,
        by=("question", "masks", "nearest", "farthest"),
        cluster=RELEVANT,
        name="index",
        rows=nearness,
    ),
)
