"""The main figures of joint: how many masks may be filled at once, greedily and with draws."""

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


def _total_bound(tables: Tables, frame: pd.DataFrame) -> Iterator[HeadlineValue]:
    """The same of masks that stand together, by what draws lose: a model that is too sure of its
    marginals has a small total correlation, and loses all the more.
    """
    for _, rows in of_models(tables.get("total_bound")):
        row = first(chosen(rows, task=ALL, reveal_order="left_to_right"))
        setting = (
            f"task {row['task']}, {row['reveal_order']}, eps {row['budget_eps']:g};"
            f" supported: {row['draws_supported']}; by total correlation: {row['by_mean']}"
        )
        yield over(row, "draws_by_mean", 1, row["n"], "texts", setting)


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
    Headline(
        "draws bound",
        "tokens that may be drawn at once for less than eps nats per token, by the texts' mean",
        "up to {value} may be drawn at once for less than eps",
        "tokens",
        _total_bound,
        better="more",
        none=1.0,
    ),
)
