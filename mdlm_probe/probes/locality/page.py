"""Locality on the page: accuracy by position of the relevant examples, and the locality index."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart, over_sets
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.probes.locality import report

READ = (
    "A flat line at 100 % finds the relevant examples wherever they stand. A line that falls to the"
    " left of a question at the right end is recency; the locality index says how much, and 0 is no"
    " bias. Bands are 95 % over sets; where there is one set, over its items."
)
TASK = "set"
MASKS = "{masks} (0 is one mask, closed)"
QUESTION = "distractors left of the relevant block"


def tables(frame: pd.DataFrame) -> Tables:
    """The tables that the charts of a set need."""
    return {"accuracy": report.accuracy(frame)}


def _accuracy(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    chance = 1 / frame["options"].max()
    return over_sets(tables["accuracy"]).assign(chance=chance)


def _under(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    table = tables["accuracy"]
    return table if table["p_right_low"].notna().any() else table.drop(columns="p_right")


CHARTS = (
    Chart(
        "accuracy",
        "Accuracy by position of the relevant examples",
        _accuracy,
        "line",
        Axis("position", QUESTION),
        Axis("accuracy", "accuracy (%)", 100, ends="best"),
        dash="masks",
        panels=("question",),
        more=("n", "sets"),
        names=(("n", "items"),),
        beside=(("chance", "chance (%)"),),
    ),
    Chart(
        "p_right",
        "Probability of the right answer by position",
        _under,
        "line",
        Axis("position", QUESTION),
        Axis("p_right", "probability (%)", 100, ends="p_right"),
        dash="masks",
        panels=("question",),
        more=("n", "sets"),
        names=(("n", "items"),),
    ),
)
