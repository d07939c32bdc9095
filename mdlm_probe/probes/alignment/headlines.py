"""The main figure of alignment: what cross-entropy charges for a shift by one place."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.headlines import Headline, HeadlineValue, chosen, first, of_models, over


def _penalty(tables: Tables, frame: pd.DataFrame) -> Iterator[HeadlineValue]:
    for model, rows in of_models(tables.get("penalties")):
        moved = chosen(rows[rows["target"] == "right"], masked_share=1.0)
        if not len(moved):
            yield HeadlineValue(model, reason="its texts are too short to have a tail")
            continue
        row = first(moved)
        setting = f"{100 * row['masked_share']:.3g} % of the tail masked"
        yield over(row, "penalty", 1, row["n"], "texts", setting)


HEADLINES = (
    Headline(
        "price of a shift",
        "cross-entropy of a text's tail moved to the right by one place minus that of the unmoved"
        " one",
        "cross-entropy charges {value} {way} for a tail that is moved by one place",
        "nats per token",
        _penalty,
        ways=("more", "less"),
    ),
)
