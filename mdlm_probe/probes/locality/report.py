"""Accuracy against the position of the relevant examples, and the locality index."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.frames import Tables, palette
from mdlm_probe.analysis.pairing import Measure, Pairing
from mdlm_probe.analysis.stats import corrected

CURVE = ["model", "question", "masks", "position"]
BANDS = {"accuracy": "sets", "p_right": "p_right"}
MEASURES = tuple(BANDS)
TOP = 103
"""Percent at which an axis ends at most: a little room for the marks at 100."""

PLACES = ("left", "middle", "right")
LABELS = {"accuracy": "accuracy (%)", "p_right": "probability of the\nright answer (%)"}


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
    Student's interval over the sets' means, cut at 0 and 1.
    """
    rows = []
    for coordinates, part in frame.groupby(CURVE, observed=True, sort=False):
        items = stats.proportion(part["correct"].to_numpy())
        sets = stats.share_over(part["correct"].to_numpy(), part["set"].to_numpy())
        right = stats.mean_over(part.assign(p=np.exp(part["logp_right"])), "p", "set")
        rows.append(
            dict(zip(CURVE, coordinates, strict=True))
            | {"accuracy": items.mean, "n": items.n}
            | {"items_low": items.low, "items_high": items.high}
            | {"sets_low": sets.low, "sets_high": sets.high, "sets": sets.n}
            | {"p_right": float(np.exp(part["logp_right"]).mean())}
            | {"p_right_low": np.maximum(right.low, 0.0)}
            | {"p_right_high": np.minimum(right.high, 1.0)}
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
    return np.maximum(0, np.maximum(before, frame["position"] - question)).astype(int)


def index(frame: pd.DataFrame) -> pd.DataFrame:
    """The locality index: accuracy nearest to the question minus farthest, over the same items.

    Over items: `stats.paired_hits`, whose exact sign test is McNemar's where one position each is
    nearest and farthest, and stricter than the interval. Over sets: Student's, of the sets'
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
            | {"items_low": np.maximum(items.low, -1.0), "items_high": np.minimum(items.high, 1.0)}
            | {"items_p": items.p}
            | {"sets_low": np.maximum(sets.low, -1.0), "sets_high": np.minimum(sets.high, 1.0)}
            | {"sets_p": sets.p, "sets": sets.n}
        )
    return corrected(pd.DataFrame(rows), ("items", "sets"))


def figures(frame: pd.DataFrame, found: Tables | None = None) -> dict[str, Figure]:
    """ "": a panel for each question place; "masks", where there are several numbers of them."""
    table = (found or tables(frame))["accuracy"]
    drawn = {"": _places(table, frame)}
    if table["masks"].nunique() > 1:
        drawn["masks"] = _under_masks(table)
    return drawn


def _places(table: pd.DataFrame, frame: pd.DataFrame) -> Figure:
    """One panel a question place, the same axes for all: curves with bands over the sets."""
    places = [p for p in PLACES if p in set(table["question"])]
    colours = palette(list(table["model"].unique()))
    drawn = Figure(figsize=(1.2 + 4.2 * len(places), 4.2), layout="constrained")
    axes = drawn.subplots(1, len(places), sharex=True, sharey=True, squeeze=False)[0]
    for axis, place in zip(axes, places, strict=True):
        _panel(axis, table[table["question"] == place], frame, place, colours)
    low = np.nanmin([*table["sets_low"], *table["accuracy"], *(1 / frame["options"])])
    axes[0].set(ylabel="accuracy (%)", ylim=(max(0, 10 * np.floor(10 * low - 0.5)), TOP))
    lines = {line.get_label(): line for axis in axes for line in axis.lines}
    lines["chance"] = lines.pop("chance")  # last in the legend
    drawn.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=2 * len(places))
    drawn.suptitle("Accuracy by position of the relevant examples\nbands: 95 % over sets", size=11)
    return drawn


def _under_masks(table: pd.DataFrame) -> Figure:
    """A row of panels for each model and place: accuracy and probability, a shade a mask count."""
    rows = list(dict.fromkeys(map(tuple, table[["model", "question"]].astype(str).to_numpy())))
    counts = sorted(table["masks"].unique())
    shades = colormaps["viridis"](np.linspace(0.9, 0, len(counts)))
    drawn = Figure(figsize=(9.2, 1.4 + 2.7 * len(rows)), layout="constrained")
    axes = drawn.subplots(len(rows), 2, sharex=True, sharey="col", squeeze=False)
    for (model, place), pair in zip(rows, axes, strict=True):
        part = table[(table["model"] == model) & (table["question"] == place)]
        for axis, measure in zip(pair, MEASURES, strict=True):
            for k, curve in part.groupby("masks"):
                label = "one mask, closed" if k == 0 else f"{k} masks"
                x, y = curve["position"], 100 * curve[measure]
                axis.plot(x, y, "o-", ms=4, color=shades[counts.index(k)], label=label)
                ends = (100 * curve[f"{BANDS[measure]}_{end}"] for end in ("low", "high"))
                axis.fill_between(x, *ends, color=shades[counts.index(k)], alpha=0.1, lw=0)
            axis.set(title=f"{model}, question {place}", ylabel=LABELS[measure])
            axis.grid(alpha=0.25)
    for axis in axes[-1]:
        axis.set_xlabel("distractors left of the relevant block")
        axis.set_ylim(top=min(axis.get_ylim()[1], TOP))
    lines = {line.get_label(): line for axis in axes.flat for line in axis.lines}
    drawn.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=5)
    title = "Position of the relevant examples, under masks at the question; bands: 95 % over sets"
    drawn.suptitle(title, size=11)
    return drawn


def _panel(
    axis: Axes, table: pd.DataFrame, frame: pd.DataFrame, place: str, colours: dict[str, str]
) -> None:
    looks = [(line, mark) for mark in "os^Dv" for line in ("-", "--", ":", "-.")]
    looks = [looks[(5 * i) % len(looks)] for i in range(len(looks))]  # both change at each step
    styles = dict(zip(sorted(table["masks"].unique()), looks, strict=False))
    for (model, masks), curve in table.groupby(["model", "masks"], observed=True, sort=False):
        label = model if len(styles) == 1 and masks == 0 else f"{model}, {masks} masks"
        x, y = curve["position"], 100 * curve["accuracy"]
        line, mark = styles[masks]
        axis.plot(x, y, line, color=colours[model], marker=mark, ms=4, label=label)
        low, high = 100 * curve["sets_low"], 100 * curve["sets_high"]
        axis.fill_between(x, low, high, color=colours[model], alpha=0.15, lw=0)
    for options in frame["options"].unique():
        axis.axhline(100 / options, color="grey", lw=1, ls=(0, (2, 2)), label="chance")
    totals = (frame["distractors"] + frame["shots"]).unique()
    at = {"left": 0, "middle": totals[0] // 2, "right": totals[0]}[place]
    after = f" (after {at} of {totals[0]} examples)" if len(totals) == 1 else ""
    axis.set(
        title=f"question {place}{after}",
        xlabel="distractors left of the relevant block",
    )
    axis.grid(alpha=0.25)


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


ITEM = ("set", "item")
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
