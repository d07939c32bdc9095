"""The main figure of needle: how often the fact is found in the longest text."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.headlines import Headline, HeadlineValue, first, of_models, over


def _exact(tables: Tables, frame: pd.DataFrame) -> Iterator[HeadlineValue]:
    for _, rows in of_models(tables.get("overview")):
        row = first(rows.sort_values("context_length", ascending=False, kind="stable"))
        setting = f"texts of {row['context_length']} tokens, all depths"
        yield over(row, "exact", 100, row["n"], "needles", setting)


HEADLINES = (
    Headline(
        "needle exact match",
        "answers that are exactly the fact, in the longest texts, over all depths",
        "the fact is found in {value} of the longest texts",
        "%",
        _exact,
        better="more",
        none=None,
    ),
)
