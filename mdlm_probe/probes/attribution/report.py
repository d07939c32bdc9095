"""Gradient attribution by position of the examples, and to masks and other groups of tokens."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.frames import Tables, palette
from mdlm_probe.analysis.pairing import Measure, Pairing

SETTING = ["model", "question", "masks", "method"]
PLACES = ("left", "middle", "right")
GROUPS = ("answer", "masks", "last-50", "all")
TESTED = ("primacy", "recency")
PRINTED = ("shape", "groups", "gaps")
PAPER = {
    "llada-8b": (0.234, 0.005, 0.005),
    "llada-8b-instruct": (0.220, 0.057, 0.017),
    "dream-7b": (0.282, 0.012, 0.005),
    "dream-7b-instruct": (0.144, 0.030, 0.018),
    "llada-moe": (0.237, 0.094, 0.029),
    "llada-moe-instruct": (0.188, 0.150, 0.028),
}
"""Table 1 of arXiv 2511.21338: 50 appended masks, the last 50 other tokens, all other tokens."""

WHAT = {
    "grad-norm": "gradient norm",
    "input-x-gradient": "|input × gradient|",
    "integrated-gradients": "|integrated gradient|",
}


def tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The report's tables by name: "positions", "shape", "groups"; "gaps" of integrated gradients.

    Raises:
        KeyError, ValueError: for rows that an attribution run didn't write.
    """
    frame[["masks", "item", "place", "score", "normalised"]].apply(pd.to_numeric)
    found = {"positions": positions(frame), "shape": shape(frame), "groups": groups(frame)}
    return found | ({"gaps": gaps(frame)} if frame["gap"].notna().any() else {})


def positions(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores by an example's position, of relevant ones, of distractors, and of any.

    `normalised` and `score` are means; the intervals are of `normalised`. The unit is a test point,
    averaged over the orders; see `_estimate`.
    """
    examples = _examples(frame)
    both = pd.concat([examples, examples.assign(label="any")])
    rows = [
        coordinates
        | {"label": label, "position": int(place)}
        | _estimate(part, "normalised", "score")
        for coordinates, setting in _settings(both)
        for (label, place), part in setting.groupby(["label", "place"], observed=True)
    ]
    return pd.DataFrame(rows).drop(columns="sets_p", errors="ignore")


def shape(frame: pd.DataFrame) -> pd.DataFrame:
    """Primacy and recency of the normalised scores of examples, relevant or not.

    Means of the first, the middle and the last fifth of positions; primacy is first minus middle,
    recency last minus middle, over the same test points. A U-shape has both above 0. `sets_p` is
    the test that one is 0, over the sets, not corrected for there being two in every setting.
    Source: ours.
    """
    rows = []
    for coordinates, part in _settings(_examples(frame)):
        fifth = (5 * part["place"]) // (part["place"].max() + 1)
        units = part.groupby(["set", "item", fifth], observed=True)["normalised"].mean().unstack()
        if not {0, 2, 4} <= set(units):
            continue
        first, middle, last = (units[n] for n in (0, 2, 4))
        parts = {"first fifth": first, "middle fifth": middle, "last fifth": last}
        parts |= {"primacy": first - middle, "recency": last - middle}
        for name, values in parts.items():
            value = values.rename("value").dropna().reset_index()
            found = _estimate(value, "value", least=-1.0 if name in TESTED else 0.0)
            if name not in TESTED:
                found["sets_p"] = np.nan
            rows.append(coordinates | {"part": name} | found)
    return pd.DataFrame(rows)


def groups(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean scores of the tokens of a group, by the largest token of the prompt.

    `paper` is the value of arXiv 2511.21338, table 1, where the setting is the same: gradient norm,
    50 appended masks, question at the right.
    """
    rows = []
    for coordinates, setting in _settings(frame[frame["unit"] == "group"]):
        same = [coordinates[name] for name in SETTING[1:]] == ["right", 50, "grad-norm"]
        published = PAPER.get(coordinates["model"], ()) if same else ()
        known = dict(zip(GROUPS[1:], published, strict=False))
        for label in GROUPS:
            part = setting[setting["label"] == label]
            if len(part):
                found = _estimate(part, "normalised") | {"paper": known.get(label, np.nan)}
                rows.append(coordinates | {"group": label} | found)
    return pd.DataFrame(rows).drop(columns="sets_p", errors="ignore")


def gaps(frame: pd.DataFrame) -> pd.DataFrame:
    """How far integrated gradients are from summing to what they should, and how large logits are.

    Where the mean gap isn't small beside the mean logit, scores need more `--ig-steps`.
    """
    prompts = frame[(frame["unit"] == "group") & (frame["label"] == "all")].dropna(subset="gap")
    return pd.DataFrame(
        coordinates
        | {"prompts": len(part), "mean |gap|": part["gap"].abs().mean()}
        | {"largest |gap|": part["gap"].abs().max(), "mean |logit|": part["logit"].abs().mean()}
        for coordinates, part in _settings(prompts)
    )


def _examples(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[(frame["unit"] == "example") & (frame["label"] != "question")]


def _settings(frame: pd.DataFrame) -> Iterator[tuple[dict, pd.DataFrame]]:
    for values, part in frame.groupby(SETTING, observed=True, sort=False):
        yield dict(zip(SETTING, values, strict=True)), part


def _estimate(frame: pd.DataFrame, value: str, *also: str, least: float = 0.0) -> dict[str, float]:
    """Mean of test points' means, with two 95 % intervals over items, and over sets.

    Student's, cut at `least` and 1. The items of a set share examples and orders, so the interval
    over items is the narrower one.
    """
    names = [value, *also]
    units = frame.groupby(["set", "item"], observed=True)[names].mean().dropna().reset_index()
    items, sets = stats.mean(units[value].to_numpy()), stats.mean_over(units, value, "set")
    found = {name: float(units[name].mean()) for name in names} | {"n": items.n}
    for name, ends in (("items", items), ("sets", sets)):
        found |= {f"{name}_low": np.maximum(ends.low, least)}
        found |= {f"{name}_high": np.minimum(ends.high, 1.0)}
    return found | {"sets": sets.n, "sets_p": sets.p}


# ---------------------------------------------------------------------- figures


def figures(frame: pd.DataFrame, found: Tables | None = None) -> dict[str, Figure]:
    """By position: one line a model, a panel for each question place and number of masks; and
    "groups": bars beside the paper's values. Without examples there are only groups.
    """
    found = found or tables(frame)
    drawn = {"": _positions(found["positions"])} if len(found["positions"]) else {}
    return drawn | {"groups": _groups(found["groups"])}


def _panels(table: pd.DataFrame, height: float) -> tuple[Figure, dict[tuple[str, int], Axes]]:
    """A panel for each question place and number of masks; the same axes for all."""
    places = [p for p in PLACES if p in set(table["question"])]
    masks = sorted(table["masks"].unique())
    keys = [(place, k) for k in masks for place in places]
    across = len(places) if len(places) > 1 else len(masks)
    down = len(keys) // across
    drawn = Figure(figsize=(1.2 + 4.6 * across, 1.0 + height * down), layout="constrained")
    axes = drawn.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    panels = dict(zip(keys, axes.flat, strict=True))
    for (place, k), axis in panels.items():
        appended = "no mask appended" if k == 0 else f"{k} masks appended"
        axis.set(title=f"question {place}, {appended}")
        axis.grid(alpha=0.25)
        axis.tick_params(labelbottom=True)
    return drawn, panels


def _series(table: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Label, model and rows of each line: the method is named where there are several."""
    several = table["method"].nunique() > 1
    for (model, method), part in table.groupby(["model", "method"], observed=True, sort=False):
        yield f"{model}, {method}" if several else model, model, part


def _legend(drawn: Figure) -> None:
    found = {}
    for axis in drawn.axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if "question" in found:
        found["question"] = found.pop("question")  # models come first
    drawn.legend(found.values(), found.keys(), loc="outside lower center", ncols=3)


def _measure(table: pd.DataFrame) -> str:
    methods = table["method"].unique()
    return WHAT.get(methods[0], methods[0]) if len(methods) == 1 else "score"


LINES = {"any": ("-", 1.8), "relevant": ("--", 1.0), "distractor": (":", 1.0)}
FEW = 3
"""Models up to which relevant examples and distractors have lines of their own."""


def _positions(table: pd.DataFrame) -> Figure:
    drawn, panels = _panels(table, 3.6)
    colours = palette(list(table["model"].unique()))
    shown = LINES if len(colours) <= FEW else ("any",)
    count = int(table["position"].max()) + 1
    for (place, k), axis in panels.items():
        here = table[(table["question"] == place) & (table["masks"] == k)]
        for name, model, rows in _series(here[here["label"].isin(shown)]):
            for label, curve in rows.groupby("label", observed=True, sort=False):
                line, width = LINES[label]
                x, y, colour = curve["position"], curve["normalised"], colours[model]
                own = {"label": name} if label == "any" else {}
                axis.plot(x, y, line, lw=width, color=colour, **own)
                if label == "any":
                    low, high = curve["sets_low"], curve["sets_high"]
                    axis.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
        at = {"left": 0, "middle": count // 2, "right": count}[place] - 0.5
        axis.axvline(at, color="grey", lw=1, ls=(0, (2, 2)), label="question")
        axis.set(xlabel="position of the example (0 = far left)", ylim=(0, 1.02))
        if axis.get_subplotspec().is_first_col():
            axis.set(ylabel=f"{_measure(table)} of the example\n/ largest of its prompt")
    for label in (name for name in shown if name != "any"):
        line, width = LINES[label]
        axis.plot([], [], line, lw=width, color="grey", label=f"{label} examples only")
    _legend(drawn)
    drawn.suptitle(
        "Attribution of the answer by position of the example\nbands: 95 % over sets", size=11
    )
    return drawn


NAMES = ("answer's\nmask", "appended\nmasks", "last 50\nother tokens", "all\nother tokens")
TABLE = "arXiv 2511.21338, table 1"
SAME = {"ms": 6, "mfc": "white", "mec": "black", "label": f"{TABLE}: the same model"}
ALL = {"ms": 4, "mfc": "none", "mec": "dimgrey", "label": f"{TABLE}: its six models"}


def _groups(table: pd.DataFrame) -> Figure:
    drawn, panels = _panels(table, 3.4)
    colours = palette(list(table["model"].unique()))
    order = [name for name, _, _ in _series(table)]
    width = 0.8 / (1 + len(order))  # one more for the paper's values
    for (place, k), axis in panels.items():
        here = table[(table["question"] == place) & (table["masks"] == k)]
        for name, model, rows in _series(here):
            shift = (order.index(name) - len(order) / 2) * width
            x, y = rows["group"].map(GROUPS.index) + shift, rows["normalised"]
            gaps = [y - rows["sets_low"], rows["sets_high"] - y]
            axis.bar(x, y, width * 0.9, color=colours[model], label=name)
            axis.errorbar(x, y, gaps, fmt="none", ecolor="black", lw=0.8)
            if rows["paper"].notna().any():
                axis.plot(x, rows["paper"], "D", **SAME)
        if place == "right" and k == 50 and set(table["method"]) == {"grad-norm"}:
            for i, values in enumerate(zip(*PAPER.values(), strict=True), start=1):
                axis.plot([i + len(order) / 2 * width] * len(values), values, "D", **ALL)
        axis.set_xticks(range(len(GROUPS)), NAMES)
        axis.set(xlabel="group of tokens")
        axis.grid(visible=False, axis="x")
        if axis.get_subplotspec().is_first_col():
            axis.set(ylabel=f"mean {_measure(table)} of a token\n/ largest of its prompt")
    _legend(drawn)
    drawn.suptitle("Attribution to masks and other tokens\nerror bars: 95 % over sets", size=11)
    return drawn


# ---------------------------------------------------------------------- comparing


def shapes(frame: pd.DataFrame) -> pd.DataFrame:
    """Primacy and recency of each test point; see `shape`."""
    rows = _examples(frame)
    last = rows.groupby(SETTING, observed=True)["place"].transform("max")
    rows = rows.assign(fifth=(5 * rows["place"]) // (last + 1))
    keys = [*SETTING[1:], "set", "item"]
    wide = rows.groupby([*keys, "fifth"], observed=True, sort=False)["normalised"].mean().unstack()
    wide = wide.reindex(columns=[0, 2, 4])
    return pd.DataFrame({"primacy": wide[0] - wide[2], "recency": wide[4] - wide[2]}).reset_index()


def grouped(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores of the groups of tokens, the group's name as `group`."""
    return frame[frame["unit"] == "group"].rename(columns={"label": "group"})


def placed(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores of examples by their place, as `position`."""
    return _examples(frame).rename(columns={"place": "position"})


ITEM = ("set", "item")
PAIRED = (
    Pairing(
        {"normalised": Measure("score of a token / largest of its prompt")},
        item=ITEM,
        by=(*SETTING[1:], "group"),
        cluster="set",
        name="groups",
        rows=grouped,
        free=("order", "detail"),
    ),
    Pairing(
        {"primacy": Measure("primacy"), "recency": Measure("recency")},
        item=ITEM,
        by=tuple(SETTING[1:]),
        cluster="set",
        name="shape",
        rows=shapes,
    ),
    Pairing(
        {"normalised": Measure("score of an example / largest of its prompt")},
        item=ITEM,
        by=(*SETTING[1:], "position"),
        cluster="set",
        name="positions",
        rows=placed,
        free=("order", "detail"),
    ),
)
