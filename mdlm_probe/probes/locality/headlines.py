"""The main figure of locality: the locality index."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.headlines import (
    Headline,
    HeadlineValue,
    chosen,
    few_shot,
    first,
    of_models,
)


def _index(tables: Tables, frame: pd.DataFrame) -> Iterator[HeadlineValue]:
    for _, rows in of_models(tables.get("index")):
        row = first(chosen(rows.sort_values("question_masks", kind="stable"), question="right"))
        near, far = row["nearest_distance"], row["farthest_distance"]
        masks = f"{row['question_masks']} masks"
        setting = f"question {row['question']}, {masks}, distance {near} against {far}"
        yield few_shot(row, "index", 100, setting)


HEADLINES = (
    Headline(
        "locality index",
        "accuracy with the relevant examples nearest to the question minus farthest from it",
        "accuracy is {value} {way} with the relevant examples next to the question than far away",
        "points",
        _index,
        ways=("higher", "lower"),
    ),
)
