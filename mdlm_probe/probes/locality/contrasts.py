"""What the place of the relevant examples, of the question, and masks do to accuracy, as contrasts.

Every contrast is over the same items, with an interval and a test over items and over relevant
tasks, as the locality index; `_holm` are p-values corrected for a model's rows of a table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis.frames import grouped
from mdlm_probe.analysis.stats import corrected
from mdlm_probe.probes._few_shot.report_parts import (
    ITEM,
    PLACES,
    over_items,
    over_tasks,
    with_task,
)

SETTING = ["model", "question", "question_masks"]
CURVE = [*SETTING, "position"]
ENDS_MIDDLE = "ends - middle"
"""What a U has above 0: the mean of primacy and recency."""


def distance(frame: pd.DataFrame) -> pd.Series:
    """Examples between the relevant block and the question; 0 when they touch or overlap."""
    total = frame["distractors"] + frame["shots"]
    at = frame["question"].map({"left": 0.0, "middle": 0.5, "right": 1.0}).astype(float)
    question = np.floor(at * total)
    before = question - (frame["position"] + frame["shots"])
    apart: pd.Series = np.maximum(0, np.maximum(before, frame["position"] - question))
    return apart.astype(int)


def contrast(name: str, gaps: pd.Series, *, hits: bool = True, most: float = 1.0) -> dict[str, Any]:
    """A contrast's columns, from items' differences that are `most` at most."""
    items, tasks = over_items(gaps, hits=hits), over_tasks(gaps)
    return (
        {name: items.mean, "n": items.n}
        | items.within(-most, most).ends("items")
        | {"items_p": items.p}
        | tasks.within(-most, most).ends("tasks")
        | {"tasks_p": tasks.p, "tasks": tasks.n}
    )


def family(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Contrasts as a table, with Holm's p-values over a model's rows."""
    return corrected(pd.DataFrame(rows), ("items", "tasks"))


def nearness(frame: pd.DataFrame) -> pd.DataFrame:
    """The locality index of each item: nearest to the question minus farthest, 1, 0 or -1."""
    frame = with_task(frame).assign(distance=distance(frame))
    by = frame.groupby(SETTING, observed=True)["distance"]
    frame = frame.assign(nearest=by.transform("min"), farthest=by.transform("max"))
    frame = frame[frame["nearest"] < frame["farthest"]]
    keys = [*SETTING, "nearest", "farthest", *ITEM]
    ends = [
        frame[frame["distance"] == frame[end]].groupby(keys, observed=True, sort=False)["correct"]
        for end in ("nearest", "farthest")
    ]
    index = ends[0].mean() - ends[1].mean()
    return index.rename("index").dropna().reset_index()


def index(frame: pd.DataFrame) -> pd.DataFrame:
    """The locality index: accuracy nearest to the question minus farthest, over the same items.

    Over items: `stats.paired_hits`, whose exact sign test is McNemar's where one position each is
    nearest and farthest, and stricter than the interval. Over relevant tasks: a t test of the
    tasks' differences. The items of a set share their examples, and the sets of a relevant task are
    alike, so that the interval and test over tasks are the ones to trust; those over items say what
    holds for these examples. `_holm` are p-values corrected for a model's rows. A model without
    bias has index 0, and so has one that reads both ends alike and the middle worse: see `shape`.
    Source: ours.
    """
    rows = []
    for named, part in grouped(nearness(frame), [*SETTING, "nearest", "farthest"]):
        at = {name: named[name] for name in SETTING}
        at |= {f"{end}_distance": named[end] for end in ("nearest", "farthest")}
        rows.append(at | contrast("index", part.set_index([*ITEM])["index"]))
    return family(rows)


def ends_and_middle(frame: pd.DataFrame) -> pd.DataFrame:
    """Primacy, recency and their mean of each item; none where there are under three positions.

    Primacy is the block at the far left minus halfway, recency at the far right minus halfway; of
    two positions that are equally near to halfway, the mean. `frame` may have several models.
    """
    found = []
    for named, part in grouped(with_task(frame), SETTING):
        wide = part.pivot_table(index=[*ITEM], columns="position", values="correct", observed=True)
        if wide.shape[1] < 3:
            continue
        at = wide.columns.to_numpy(dtype=float)
        off = np.abs(at[1:-1] - (at[0] + at[-1]) / 2)
        wide = wide.loc[:, [True, *(off == off.min()), True]].dropna()
        middle = wide.iloc[:, 1:-1].mean(axis=1)
        parts = {"primacy": wide.iloc[:, 0] - middle, "recency": wide.iloc[:, -1] - middle}
        parts[ENDS_MIDDLE] = (parts["primacy"] + parts["recency"]) / 2
        found.append(pd.DataFrame(parts).reset_index().assign(**named))
    none = pd.DataFrame(columns=[*SETTING, *ITEM, "primacy", "recency", ENDS_MIDDLE])
    return pd.concat(found, ignore_index=True) if found else none


def shape(frame: pd.DataFrame) -> pd.DataFrame:
    """Primacy, recency and ends minus middle of accuracy by the block's position.

    Primacy is the far left minus halfway, recency the far right minus halfway, "ends - middle" the
    mean of both: a U, which the locality index can't see, has all three above 0. Intervals and
    tests as in `index`. Source: ours.
    """
    items = ends_and_middle(frame)
    return family(
        [
            named | {"part": name} | contrast("value", part.set_index([*ITEM])[name])
            for named, part in grouped(items, SETTING)
            for name in ("primacy", "recency", ENDS_MIDDLE)
        ]
    )


def change(frame: pd.DataFrame) -> pd.DataFrame:
    """The locality index under masks minus that at the fewest masks, over the same items.

    Negative where curves get flatter, as in arXiv 2511.21338, section 5. Intervals and tests are t
    intervals and t tests, over items and over relevant tasks.
    """
    rows: list[dict[str, Any]] = []
    for named, part in grouped(nearness(frame), SETTING[:2]):
        wide = part.pivot_table(
            index=[*ITEM], columns="question_masks", values="index", observed=True
        )
        fewest, *more = wide.columns
        for k in more:
            gaps = (wide[k] - wide[fewest]).dropna()
            if len(gaps):
                line = contrast("index_change", gaps, hits=False, most=2.0)
                rows.append(named | {"question_masks": k, "against": fewest} | line)
    return family(rows)


def places(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy with the question at the left minus elsewhere, over the same items and positions.

    "left - lowest other" is the smaller gap of the two: the left is lowest where it is under 0, and
    its p, the larger of both (1 if it isn't under 0), is that of an intersection-union test.
    """
    rows: list[dict[str, Any]] = []
    for named, part in grouped(with_task(frame), ["model", "question_masks"]):
        if "left" not in set(part["question"]):
            continue
        wide = part.pivot_table(
            index=[*ITEM, "position"], columns="question", values="correct", observed=True
        ).dropna()
        means = wide.groupby(level=[*ITEM], observed=True).mean()
        lines = [
            named
            | {"contrast": f"left - {other}"}
            | contrast("value", means["left"] - means[other])
            for other in PLACES[1:]
            if other in means and len(means)
        ]
        rows += lines + ([_lowest(lines)] if len(lines) > 1 else [])
    return family(rows)


def _lowest(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The contrast that is nearest to 0 or above it, with the p of all of them together."""
    found = max(lines, key=lambda line: float(line["value"])) | {"contrast": "left - lowest other"}
    for name in ("items_p", "tasks_p"):
        found[name] = float(np.max([line[name] for line in lines])) if found["value"] < 0 else 1.0
    return found
