"""The main figure of attribution: recency."""

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


def _recency(tables: Tables, frame: pd.DataFrame) -> Iterator[HeadlineValue]:
    for _, rows in of_models(tables.get("shape")):
        own = rows[rows["part"] == "recency"].sort_values("appended_masks", kind="stable")
        if not len(own):
            continue
        row = first(chosen(own, question="right"))
        setting = f"question {row['question']}, {row['appended_masks']} masks, {row['method']}"
        yield few_shot(row, "value", 1, setting)


HEADLINES = (
    Headline(
        "recency",
        "score of the last fifth of examples minus that of the middle fifth, as a share of the"
        " prompt's largest",
        "the last examples get {value} {way} of a prompt's largest score than the middle ones",
        "",
        _recency,
        ways=("more", "less"),
    ),
)
