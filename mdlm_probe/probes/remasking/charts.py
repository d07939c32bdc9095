"""Charts of remasking: finding errors, the tokens around them, and mending."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart, ChartLayer, Rows, at
from mdlm_probe.analysis.frames import Tables

READ = (
    "An AUROC of 1 says that a wrong token is always the least probable of its text, .5 that its"
    " probability tells nothing. Errors that follow the token before (bigram) may fit the text, and"
    " then nobody can find them: see the oracle. Where tokens beside an error rise, they are taken"
    " for errors, too."
)
TASK = "task"
MASKS = "one at a time (masked), none (visible, left); {remask} when tokens are written again"
ERRORS = {"unigram": "any token", "bigram": "follows the one before", "none": "no error"}
READINGS = {"masked": "masked alone", "visible": "visible", "left": "by its left"}


def _of(name: str) -> Rows:
    """A report's table by name, with kinds of errors and readings in words."""

    def rows(tables: Tables, frame: Any) -> pd.DataFrame:
        table = tables.get(name, pd.DataFrame())
        if not len(table):
            return table
        return table.assign(
            error=pd.Categorical(table["error"].map(ERRORS), list(ERRORS.values()), ordered=True),
            reading=pd.Categorical(
                table["reading"].map(READINGS), list(READINGS.values()), ordered=True
            ),
        )

    return rows


def _with_error(tables: Tables, frame: Any) -> pd.DataFrame:
    """What became of texts with an error."""
    table = _of("mended")(tables, frame)
    return table[table["error"] != ERRORS["none"]] if len(table) else table


def _without(tables: Tables, frame: Any) -> pd.DataFrame:
    """How many right tokens remasking spoils where there is no error."""
    table = _of("mended")(tables, frame)
    if not len(table):
        return table
    own = table[table["error"] == ERRORS["none"]]
    return own[["model", "reading", "remasked", "spoilt"]]


def _chance(tables: Tables, frame: Any) -> pd.DataFrame:
    """The share of errors that as many random tokens would hold."""
    table = _of("mended")(tables, frame)
    if "found_by_chance" not in table:
        return pd.DataFrame()
    rows = table.dropna(subset=["found_by_chance"])[["remasked", "found_by_chance"]]
    return rows.drop_duplicates().rename(columns={"found_by_chance": "found"})


AROUND = Axis("offset", "tokens from the error (right of it: above 0)", scale="symlog", knee=1)
NAMES = (("error", ""), ("reading", ""))
COUNTS = (("n", "texts"), ("plants", "errors"))
CHARTS = (
    Chart(
        "",
        "How well tokens' own probabilities find a wrong one among them",
        _of("detection"),
        "interval",
        Axis("auroc", "AUROC", ends="auroc"),
        Axis("error", ""),
        panels=("reading",),
        names=NAMES,
        counts=COUNTS,
        over="texts",
        layers=(at("chance", auroc=0.5),),
    ),
    Chart(
        "distance",
        "What a wrong token does to the tokens around it",
        _of("distance"),
        "line",
        AROUND,
        (
            Axis("auroc", "AUROC against tokens there", ends="auroc"),
            Axis("rise", "surprisal that it adds (nats)", ends="rise"),
        ),
        panels=("reading", "error"),
        names=NAMES,
        counts=COUNTS,
        over="texts",
        layers=(at("", rise=0.0),),
    ),
    Chart(
        "mended",
        "The least probable tokens masked and written again",
        _with_error,
        "line",
        Axis("remasked", "tokens remasked", scale="log"),
        (
            Axis("found", "errors remasked (%)", 100, ends="found"),
            Axis("restored", "errors mended (%)", 100, ends="restored"),
            Axis("spoilt", "right tokens spoilt", ends="spoilt"),
        ),
        panels=("reading", "error"),
        names=NAMES,
        counts=COUNTS,
        over="texts",
        layers=(
            ChartLayer("by chance", _chance, "line"),
            ChartLayer("spoilt where there is no error", _without, "line"),
        ),
    ),
)
