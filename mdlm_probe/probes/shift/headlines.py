"""The main figure of shift: what moving one token in a hundred costs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.headlines import Headline, HeadlineValue, first, of_models, over

ASKED = 0.01
"""Share of the tokens, as in arXiv 2601.22947."""


def _harm(tables: Tables, frame: pd.DataFrame) -> Iterator[HeadlineValue]:
    for model, rows in of_models(tables.get("harm")):
        moved = rows[(rows["intervention"] == "shift") & (rows["frac"] > 0)]
        same = moved[np.isclose(moved["frac"], ASKED)]
        if not len(same):
            asked = ", ".join(f"{100 * share:g} %" for share in moved["frac"]) or "nothing"
            yield HeadlineValue(model, reason=f"1 % wasn't moved (--frac 0.01), but {asked}")
            continue
        row = first(same)
        if pd.isna(row.get("nats", np.nan)):
            yield HeadlineValue(model, reason="its answers have no likelihoods (no scorer)")
            continue
        setting = f"{100 * row['realised']:.2g} % moved"
        yield over(row, "nats", 1, row["scored"], "prompts", setting)


HEADLINES = (
    Headline(
        "shift harm",
        "negative log-likelihood of answers of which 1 % was moved by one place minus that of"
        " undisturbed ones",
        "answers are {value} {way} likely to the scorer when 1 % of their tokens is moved",
        "nats per token",
        _harm,
        ways=("less", "more"),
        better="less",
    ),
)
