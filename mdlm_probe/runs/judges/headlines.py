"""The main figure of judging: how often answers with a moved token in a hundred win."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.headlines import Headline, HeadlineValue, first, of_models, over


def _winrate(tables: Tables, frame: pd.DataFrame) -> Iterator[HeadlineValue]:
    for model, rows in of_models(tables.get("winrate")):
        same = rows[(rows["intervention"] == "shift") & np.isclose(rows["frac"], 0.01)]
        if not len(same):
            yield HeadlineValue(model, reason="no answers with 1 % moved were judged")
            continue
        row = first(same)
        yield over(row, "winrate", 100, row["n"], "prompts", f"judge {row['judge']}")


HEADLINES = (
    Headline(
        "shifted win rate",
        "answers of which 1 % was moved that win against the undisturbed one, ties as half",
        "answers of which 1 % was moved win {value} of comparisons",
        "%",
        _winrate,
        better="more",
        none=50.0,
    ),
)
