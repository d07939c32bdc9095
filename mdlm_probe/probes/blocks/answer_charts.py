"""Charts of blocks on what steps know: when the answer is there, entropy, and the order taken."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.probes.blocks import answer_tables

NAMES = (("length", "canvas of"), ("where", ""), ("order", ""), ("what", ""))
COUNTS = (("n", "prompts"),)
MADE = Axis("made", "steps made (%)")


def _arrivals(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return answer_tables.arrivals(frame)


def _entropies(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return answer_tables.entropies(frame)


def _orders(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """Every combination's order; none where runs of an earlier version didn't say."""
    table = tables["quality"]
    return table if "local_ar_1" in table else pd.DataFrame()


CHARTS = (
    Chart(
        "answer",
        "When the right answer is there for good: predicted for all masks left, and committed",
        _arrivals,
        "line",
        MADE,
        Axis("there", "prompts with the right answer (%)", 100, ends="there"),
        colour="order",
        dash="what",
        panels=("model", "where"),
        names=NAMES,
        counts=COUNTS,
        over="prompts",
        note="longest canvas; of all prompts that have a right answer",
    ),
    Chart(
        "entropy",
        "Denoising entropy: how unsure the masks left are",
        _entropies,
        "line",
        MADE,
        Axis("entropy_left", "mean entropy of the masks left (nats)", ends="entropy_left"),
        colour="order",
        panels=("model", "where"),
        names=NAMES,
        counts=COUNTS,
        over="prompts",
        note="longest canvas; the surest are committed first, so the mean of the others can rise",
    ),
    Chart(
        "ar-ness",
        "Parallelism, and how close to left to right the order is",
        _orders,
        "points",
        Axis("per_step", "masks committed per step", scale="log"),
        (
            Axis("tau", "Kendall's tau", ends="tau"),
            Axis("local_ar_1", "local AR-ness@1 (%)", 100, ends="local_ar_1"),
            Axis("global_ar_1", "global AR-ness@1 (%)", 100, ends="global_ar_1"),
        ),
        colour="order",
        dash="block",
        panels=("model", "length"),
        names=NAMES,
        counts=COUNTS,
        over="prompts",
    ),
)
