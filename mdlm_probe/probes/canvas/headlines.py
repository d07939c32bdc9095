"""The main figure of canvas: what the longest canvas does to right answers beside the shortest."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.headlines import Headline, HeadlineValue, first, of_models, over


def _right(tables: Tables, frame: pd.DataFrame) -> Iterator[HeadlineValue]:
    for model, rows in of_models(tables.get("change")):
        row = first(rows.tail(1))
        if "right_more" not in row or pd.isna(row["right_more"]):
            yield HeadlineValue(model, reason="its prompts have no right answers")
            continue
        setting = f"canvases of {row['longer']} and {row['shorter']}"
        yield over(row, "right_more", 100, row["with_answer"], "prompts", setting)


HEADLINES = (
    Headline(
        "canvas change",
        "right answers on the longest canvas minus those on the shortest",
        "on the longest canvas {value} {way} of the answers are right than on the shortest",
        "points",
        _right,
        ways=("more", "less"),
        better="more",
    ),
)
