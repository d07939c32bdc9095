"""Blocks on the page: quality against cost, block sizes, and the order of filling in."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart, measures
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.probes.blocks import figures, report
from mdlm_probe.probes.blocks.equivalent import LEFT, SERIES

READ = (
    "To the left is cheap, below is what a causal scorer finds likely; repetitive texts have low"
    " perplexities, too, so repetition stands beside it. The heat maps say when which place is"
    " written: a diagonal is left to right."
)
TASK = "task"
MASKS = "{length} on the canvas"
SAYS = (
    "small blocks (4 to 8) fit LLaDA best, and left to right is the most reliable order"
    " (arXiv 2510.03289, without figures); LLaDA-8B-Instruct on MATH: 17.1 % right on a canvas of"
    " 128, 2.9 % on 256 (arXiv 2510.03680)."
)
BINS = 16
"""Places and steps that the page's heat maps tell apart."""
MEASURES = {
    1: {"perplexity": "perplexity"},
    100: {"correct": "exact match (%)", "repeated": "repeated 4-grams (%)"},
}
"""Measures of quality, by what they are multiplied by."""


def tables(frame: pd.DataFrame) -> Tables:
    """The tables that the charts of a task need."""
    return {"quality": report.quality(frame)}


def _quality(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each measure of quality that there is, model and combination."""
    kept = (*SERIES, "n", "passes_a_token")
    parts = [measures(tables["quality"], kept, titles, times) for times, titles in MEASURES.items()]
    return pd.concat(parts, ignore_index=True)


def _sizes(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The same of the largest number of steps, where block size and order are all that differs."""
    table = _quality(tables, frame)
    most = table.groupby(["model", "length"], observed=True)["steps"].transform("max")
    return table[table["steps"] == most]


def _places(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The share of a place's tokens that each step wrote, of the longest canvas and most steps."""
    found: list[dict[str, Any]] = []
    rows = frame[frame["order"] != LEFT]
    for model, part in rows.groupby("model", observed=True, sort=False):
        part = part[part["length"] == part["length"].max()]
        part = part[part["steps"] == part["steps"].max()]
        part = part[part["block"] == part["block"].max()]
        for order, own in part.groupby("order", observed=True, sort=False):
            length = int(own["length"].iloc[0])
            found += _cells(model, order, own["unmasked"], length)
    return pd.DataFrame(found)


def _cells(model: str, order: str, unmasked: pd.Series, length: int) -> list[dict[str, Any]]:
    bins = min(BINS, length)
    shares = figures.shares(unmasked, length, bins)
    first = [at * length // bins + 1 for at in range(bins)]
    return [
        {"model": model, "order": order, "place": place, "step": step, "share": shares[up, across]}
        for across, place in enumerate(first)
        for up, step in enumerate(first)
    ]


PANELS = ("model", "length", "measure")
NAMES = (("n", "prompts"), ("length", "canvas of"))
CHARTS = (
    Chart(
        "costs",
        "What an answer costs, and what it is",
        _quality,
        "points",
        Axis("passes_a_token", "passes by token of the answer", log=True),
        Axis("value", "measure", ends="value"),
        colour="order",
        panels=PANELS,
        names=NAMES,
        more=("block", "steps", "n"),
    ),
    Chart(
        "sizes",
        "Quality against block size, at the largest number of steps",
        _sizes,
        "line",
        Axis("block", "block size (masks)", log=True),
        Axis("value", "measure", ends="value"),
        colour="order",
        panels=PANELS,
        names=NAMES,
        more=("steps", "n"),
    ),
    Chart(
        "places",
        "Which places are written when, in one block",
        _places,
        "heat",
        Axis("place", "place in the canvas, from"),
        Axis("step", "step, from"),
        fill=Axis("share", "of the place's tokens, written in the step (%)", 100),
        panels=("model", "order"),
        more=(),
        scheme="blues",
        ends=(0, 50),
    ),
)
