"""The main figure of decay: the half-distance."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.headlines import Headline, HeadlineValue, chosen, first, of_models, over


def _half(tables: Tables, frame: pd.DataFrame) -> Iterator[HeadlineValue]:
    for model, rows in of_models(tables.get("half")):
        row = first(chosen(rows, context="left"))
        if pd.isna(row["half"]):
            yield HeadlineValue(model, reason="its largest probability doesn't fall with distance")
            continue
        setting = f"{row['task']}, {row['masks']} masks, context {row['context']}"
        yield over(row, "half", 1, row["n"], "prompts", setting)


HEADLINES = (
    Headline(
        "half-distance",
        "distance from the text at which the largest probability is halfway down to its far value,"
        " of the first task",
        "the largest probability is halfway down to its far value {value} from the text",
        "tokens",
        _half,
        none=None,
    ),
)
