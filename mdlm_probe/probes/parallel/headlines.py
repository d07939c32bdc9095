"""The main figure of parallel: right answers by the optimum, over families and tokens per step."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.headlines import Headline, HeadlineValue, first, of_models, over


def _of_optimum(tables: Tables, frame: pd.DataFrame) -> Iterator[HeadlineValue]:
    for _, rows in of_models(tables.get("overview")):
        known = rows.dropna(subset=["of_optimum"])
        if len(known):
            row = first(known.tail(1))  # all families, of the last setting
            setting = f"{row['family']}, {row['list_length']} words, {row['order']}"
            yield over(row, "of_optimum", 100, row["n"], "items", setting)


HEADLINES = (
    Headline(
        "list accuracy",
        "right answers to list tasks, as a share of an ideal reader's, over tokens per step",
        "list tasks are right {value} as often as an ideal reader's",
        "%",
        _of_optimum,
        better="more",
        none=None,
    ),
)
