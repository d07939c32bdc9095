"""Right answers to list tasks by tokens per step, beside what an ideal reader would get right.

A model above the optimum isn't better than the ideal reader: it holds fewer of the right answers
possible, and so its slots agree by themselves. `same_share` shows that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.frames import grouped
from mdlm_probe.analysis.pairing import Measure, Pairing
from mdlm_probe.prompts.list_tasks import FAMILIES, RANDOM, ListTask, has_new_word

PRINTED = ("overview", "accuracy")
UNREAD = ("answer", "word_list", "new_word")
UNITS = {"accuracy": {"excess_points": "points"}}
SETTING = ["list_length", "order", "temperature"]
SERIES = ["model", "family", *SETTING]
ITEM = ["list_length", "seed", "item"]
FAULTS = ("foreign", "repeated", "copied", "misplaced")
ALL = "all"
ALIKE, FEWEST = 0.5, 5
"""How far from the ideal reader's share to 1 the share of equal pairs of right answers is, and of
how many right answers at least, before a reader is told."""


def tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The report's tables by name.

    "overview", all tokens per step together: the share of right answers, of the optimum's;
    "accuracy" at each, beside the optimum; "faults": what was wrong, and how alike right answers
    are.

    Raises:
        KeyError, ValueError: for rows that a parallel run didn't write.
    """
    frame[[*ITEM, "asked_per_step", "per_step", "correct", "optimum"]].apply(pd.to_numeric)
    frame = frame.assign(fault=frame["fault"].fillna(""))
    return {"overview": overview(frame), "accuracy": accuracy(frame), "faults": faults(frame)}


def _sorted(found: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows by model as they come, setting, and family in their order, all together last."""
    table = pd.DataFrame(found)
    known = [name for name in (*FAMILIES, ALL) if name in set(table["family"])]
    table["family"] = pd.Categorical(table["family"], known, ordered=True)
    models = {model: place for place, model in enumerate(dict.fromkeys(table["model"]))}
    return table.sort_values(
        ["model", *SETTING, "family"],
        key=lambda one: one.map(models) if one.name == "model" else one,
        kind="stable",
        ignore_index=True,
    )


def accuracy(frame: pd.DataFrame) -> pd.DataFrame:
    """Every model, family and number of tokens per step, over items.

    `correct` with Wilson's interval; `optimum` is the mean of the items' own, and `excess_points`
    what is above it, in points of 100, with the same interval: the optimum is known.
    """
    found = []
    for named, part in grouped(frame, [*SERIES, "asked_per_step"]):
        share = stats.proportion(part["correct"].to_numpy())
        best = float(part["optimum"].mean(skipna=False))
        line = named | {"n": share.n, "per_step": part["per_step"].mean()}
        line |= share.columns("correct") | {"optimum": best}
        mean, low, high = (100 * (value - best) for value in (share.mean, share.low, share.high))
        line |= stats.Estimate(mean, low, high, share.n).columns("excess_points")
        found.append(line | {"passes": part["passes"].mean()})
    return _sorted(found)


def faults(frame: pd.DataFrame) -> pd.DataFrame:
    """What was wrong at every number of tokens per step, and whether right answers are alike.

    `foreign_share` and so on: of all answers, those that are wrong in this way. `same_share`: the
    probability that two right answers arrange the list in the same way, `ideal_same_share` an ideal
    reader's; only of families in which several answers are right.
    """
    found = []
    for named, part in grouped(frame, [*SERIES, "asked_per_step"]):
        line = named | {"n": len(part), "right_answers": int(part["correct"].sum())}
        line |= {f"{name}_share": (part["fault"] == name).mean() for name in FAULTS}
        found.append(line | _same(named, part))
    return _sorted(found)


def _same(named: dict[str, Any], part: pd.DataFrame) -> dict[str, float]:
    """How often two right answers are the same arrangement: without bias, of all pairs of items."""
    if named["family"] not in RANDOM:
        return {"same_share": np.nan, "ideal_same_share": np.nan}
    counts = part.loc[part["correct"] == 1, "arrangement"].value_counts().to_numpy(dtype=float)
    right, words = counts.sum(), tuple(map(str, range(named["list_length"])))
    same = (counts * (counts - 1)).sum() / (right * (right - 1)) if right > 1 else np.nan
    task = ListTask(named["family"], words, "+" if has_new_word(named["family"]) else "")
    return {"same_share": same, "ideal_same_share": 1 / task.count()}


def overview(frame: pd.DataFrame) -> pd.DataFrame:
    """Every model and family, and all families together, over all numbers of tokens per step.

    `correct` is the mean share of right answers, with an interval over items
    (`stats.share_over`), `optimum` the ideal reader's, and `of_optimum` the one by the other, with
    the same interval. Rows whose optimum isn't known count in `correct` alone; there is no
    `of_optimum` with them.
    """
    found = []
    for whole in (False, True):
        if whole and frame["family"].nunique() < 2:
            continue
        own = frame.assign(family=ALL) if whole else frame
        for named, part in grouped(own, SERIES):
            items = part.groupby(ITEM, observed=True).ngroup().to_numpy()
            share = stats.share_over(part["correct"].to_numpy(), items)
            best = float(part["optimum"].mean(skipna=False))
            line = named | {"n": share.n, "answers": len(part)}
            line |= share.columns("correct") | {"optimum": best}
            relative = share.columns("of_optimum")
            found.append(
                line | {name: value / (best or np.nan) for name, value in relative.items()}
            )
    return _sorted(found)


def notes(frame: pd.DataFrame) -> list[str]:
    """Which models write the same arrangement again and again."""
    return [
        f"{row['model']}: its right answers to {row['family']} are alike: two of them are the same"
        f" arrangement with probability {row['same_share']:.2g}, an ideal reader's with"
        f" {row['ideal_same_share']:.2g}; slots that are always filled in alike need no agreement,"
        " so its accuracy may be above the optimum"
        for row in _alike(faults(frame.assign(fault=frame["fault"].fillna(""))))
    ]


def _alike(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Of each model and family the row with most right answers, where these are alike."""
    table = table.dropna(subset=["same_share"])
    for _, part in grouped(table, ["model", "family"]):
        row: dict[Any, Any] = (
            part.sort_values("right_answers", ascending=False, kind="stable").iloc[0].to_dict()
        )
        if row["right_answers"] >= FEWEST and _alikeness(row) > ALIKE:
            yield {str(name): value for name, value in row.items()}


def _alikeness(row: dict[Any, Any]) -> float:
    """0 of an ideal reader, 1 where all right answers are the same."""
    ideal = row["ideal_same_share"]
    return float((row["same_share"] - ideal) / (1 - ideal))


PAIRED = (
    Pairing(
        {
            "correct": Measure("right answers (points)", hits=True, scale=100, better="more"),
            "logp_written": Measure("log-probability of the answer's tokens (nats)"),
        },
        item=("item",),
        by=("family", "list_length", "order", "asked_per_step"),
    ),
)
