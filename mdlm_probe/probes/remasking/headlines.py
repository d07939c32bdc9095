"""The main figure of remasking: how well a wrong token is found."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.headlines import Headline, HeadlineValue, first, of_models, over


def _found(tables: Tables, frame: pd.DataFrame) -> Iterator[HeadlineValue]:
    for _, rows in of_models(tables.get("detection")):
        row = first(rows)
        setting = f"errors drawn by {row['error']}, tokens read {row['reading']}"
        yield over(row, "auroc", 1, row["n"], "texts", setting)


HEADLINES = (
    Headline(
        "errors found",
        "AUROC of a wrong token's probability among those of its text",
        "its own probabilities find a wrong token with an AUROC of {value}",
        "",
        _found,
        better="more",
        none=0.5,
    ),
)
