"""Cache on the page: errors by the steps since keys and values were kept, and the texts."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart
from mdlm_probe.analysis.frames import Tables

READ = (
    "Under bidirectional attention kept keys and values are an approximation. At 0 steps nothing is"
    " reused: an error there would be rounding. The saving is of tokens that needn't go through the"
    " network; edits are what it costs the texts."
)
TASK = "task"
MASKS = "a canvas of {length}"


def _since(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return _ways(tables["since"])


def _error(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return _ways(tables["error"])


def _ways(table: pd.DataFrame) -> pd.DataFrame:
    """A column `way`: what is kept, in blocks of which size."""
    way = table["cache"] + ", blocks of " + table["block"].astype(str)
    return table.assign(way=way)


NAMES = (("way", ""), ("n", "prompts"))
CHARTS = (
    Chart(
        "since",
        "Error of log-probabilities by the steps since a block began",
        _since,
        "line",
        Axis("since", "steps since the block began"),
        Axis("dlogp", "mean error (nats)", ends="dlogp"),
        colour="way",
        panels=("model",),
        names=NAMES,
        more=("n", "same_top", "same_commit"),
    ),
    Chart(
        "saving",
        "What texts change against what is saved",
        _error,
        "points",
        Axis("saving", "tokens that needn't go through the network (%)", 100),
        Axis("edits", "edits (% of the tokens)", 100, ends="edits"),
        colour="way",
        panels=("model",),
        names=NAMES,
        more=("n", "equal"),
    ),
)
