"""Charts of parallel: right answers against tokens per step, and how near to the optimum."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart, ChartLayer, at
from mdlm_probe.analysis.frames import Tables

READ = (
    "The optimum is what an ideal reader gets right that holds all right answers equally likely and"
    " fills in as many slots per step. Where a single answer is right it is 100 % at any pace: what"
    " is lost there is the model's. Above the optimum a model holds fewer answers possible than"
    " there are (same_share in the table)."
)
MASKS = "as many as the answer has words, none after them"


def _accuracy(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return tables["accuracy"]


def _optimum(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The optimum of each family by tokens per step, the same for all models that fill in alike."""
    table = tables["accuracy"].dropna(subset=["optimum"])
    known = ["family", "list_length", "order", "per_step"]
    best = table.groupby(known, observed=True, sort=False)["optimum"].mean().reset_index()
    return best.rename(columns={"optimum": "correct"})


def _relative(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    table = tables["overview"].dropna(subset=["of_optimum"])
    return table.assign(family=table["family"].cat.remove_unused_categories())


PANELS = (("list_length", "words"),)
CHARTS = (
    Chart(
        "",
        "List tasks: right answers by tokens per step, and the optimum",
        _accuracy,
        "line",
        Axis("per_step", "tokens per step", scale="log"),
        Axis("correct", "right answers (%)", 100, ends="correct"),
        dash="order",
        panels=("family", "list_length"),
        names=PANELS,
        counts=(("n", "items"),),
        over="items",
        layers=(ChartLayer("optimum of a factorised sampler", _optimum, "line"),),
    ),
    Chart(
        "relative",
        "List tasks: right answers over all tokens per step, by the optimum",
        _relative,
        "interval",
        Axis("of_optimum", "right answers (% of the optimum)", 100, ends="of_optimum"),
        Axis("family", ""),
        panels=("list_length", "order"),
        names=PANELS,
        counts=(("n", "items"),),
        over="items",
        layers=(at("100 %: as an ideal reader", of_optimum=1.0),),
    ),
)
