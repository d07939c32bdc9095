"""The main figure of cache: what kept keys and values change in the answers."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.headlines import Headline, HeadlineValue, chosen, first, of_models, over


def _edits(tables: Tables, frame: pd.DataFrame) -> Iterator[HeadlineValue]:
    for _, rows in of_models(tables.get("error")):
        row = first(chosen(rows, cache="prefix"))
        setting = f"cache {row['cache']}, blocks of {row['block']}"
        yield over(row, "edits", 100, row["n"], "prompts", setting)


HEADLINES = (
    Headline(
        "cache edits",
        "tokens to insert, delete or replace, of the longer answer, against exact decoding",
        "kept keys and values change {value} of the answers' tokens",
        "%",
        _edits,
        better="less",
    ),
)
