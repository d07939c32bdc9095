"""Shift on the page: what moved tokens cost beside the controls, and how far damage runs."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart, measures
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.probes.shift import figures, report

READ = (
    "A shift that costs more than the same moves made afterwards (post-hoc) is what later steps"
    " make of a misplaced token. Likelihood is the scorer's, which likes repetition; edits and"
    " exact matches stand beside it. Bands are 95 % over prompts."
)
TASK = "task"
MASKS = "a canvas of {length}"
SAYS = (
    "moving 1 % of the tokens of LLaDA-8B-Instruct by one place substantially lowers its win rate"
    " on Arena-Hard (arXiv 2601.22947); figures by rate are not public."
)
KEPT = ("model", "intervention", "frac", "prompts")


def tables(frame: pd.DataFrame) -> Tables:
    """The tables that the charts of a task need."""
    rows = report.compared(frame)
    return {"harm": report.harm(rows), "cascade": report.cascade(rows)}


def _harm(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return measures(tables["harm"], KEPT, figures.HARM)


def _cascade(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return measures(tables["cascade"], KEPT, figures.CASCADE)


CHARTS = tuple(
    Chart(
        name,
        title,
        rows,
        "line",
        Axis("frac", "tokens to be changed (%)", 100),
        Axis("value", "difference", ends="value"),
        colour="intervention",
        panels=("model", "measure"),
        more=("prompts",),
    )
    for name, title, rows in (
        ("harm", "Against the unintervened answer", _harm),
        ("cascade", "How far a change runs on", _cascade),
    )
)
