"""The main figure of joint: how many masks may be filled at once."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.headlines import Headline, HeadlineValue, chosen, first, of_models, over
from mdlm_probe.analysis.row_parts import ALL


def _bound(tables: Tables, frame: pd.DataFrame) -> Iterator[HeadlineValue]:
    """By the mean, which has an interval; what the texts support, its lower end at most, beside."""
    for _, rows in of_models(tables.get("bound")):
        row = first(chosen(rows, task=ALL))
        setting = f"task {row['task']}, eps {row['budget_eps']:g}; supported: {row['supported']}"
        yield over(row, "by_mean", 1, row["n"], "texts", setting)


HEADLINES = (
    Headline(
        "parallel bound",
        "tokens that may be filled at once for less than eps nats per token, by the texts' mean",
        "up to {value} may be filled at once for less than eps",
        "tokens",
        _bound,
        better="more",
        none=1.0,
    ),
)
