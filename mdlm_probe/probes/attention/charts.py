"""The charts of attention."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart, ChartLayer
from mdlm_probe.analysis.frames import Tables

READ = (
    "A key's attention is the sum over all queries, the mean over heads; the mean of all keys is 1."
    " Its even share is what it would be, were every query's attention even over all that it sees:"
    " 1 under bidirectional attention, and more for the first tokens of a causal text. Above the"
    " line it is a sink. Longer texts have larger numbers: compare equal lengths."
)
TASK = "task"
MASKS = "a canvas of {length}"
COUNTS = (("n", "prompts"),)
PROGRESS = Axis("progress", "decoding done (%)", 100)
BEYOND = Axis("beyond_even", "attention beyond the even share (mean key: 1)", ends="beyond_even")


def _threshold(tables: Tables, frame: Any) -> pd.DataFrame:
    return pd.DataFrame({"beyond_even": sorted(set(frame["layers"]["epsilon"].astype(float)))})


def _places(tables: Tables, frame: Any) -> pd.DataFrame:
    """Steps at which some prompt had a sink; `n` counts these prompts."""
    table = tables["steps"]
    return table[table["n_sinks"] > 0].assign(n=table["n_sinks"]) if len(table) else table


def _moved(tables: Tables, frame: Any) -> pd.DataFrame:
    table = tables["steps"]
    return table[table["n_moved"] > 0].assign(n=table["n_moved"]) if len(table) else table


def _distances(tables: Tables, frame: Any) -> pd.DataFrame:
    table = tables["distances"]
    return table[table["times_even"] > 0] if len(table) else table


def _ones(tables: Tables, frame: Any) -> pd.DataFrame:
    return pd.DataFrame({"times_even": [1.0]})


CHARTS = (
    Chart(
        "",
        "Attention on each layer's strongest key, by step: means over layers",
        lambda tables, frame: tables["steps"],
        "line",
        PROGRESS,
        BEYOND,
        counts=COUNTS,
        more=("sinks", "sink_heads"),
        over="prompts",
        layers=(ChartLayer("a sink", _threshold, "rule"),),
    ),
    Chart(
        "layers",
        "Attention on each layer's strongest key, by layer",
        lambda tables, frame: tables["layers"],
        "line",
        Axis("layer", "layer"),
        BEYOND,
        counts=COUNTS,
        more=("sinks", "sink_heads"),
        over="prompts",
        layers=(ChartLayer("a sink", _threshold, "rule"),),
    ),
    Chart(
        "place",
        "Where the strongest sink stands, by step",
        _places,
        "line",
        PROGRESS,
        Axis("sink_from_prompt", "tokens from the prompt's end", ends="sink_from_prompt"),
        counts=(("n", "prompts with a sink"),),
        over="prompts",
    ),
    Chart(
        "moved",
        "How far the strongest sink moves between passes that are read",
        _moved,
        "line",
        PROGRESS,
        Axis("moved", "tokens from where it was", ends="moved"),
        counts=(("n", "prompts with sinks in both"),),
        over="prompts",
    ),
    Chart(
        "groups",
        "What masks attend to, by step",
        lambda tables, frame: tables["groups"],
        "line",
        PROGRESS,
        Axis("attention", "of the masks' attention (%)", 100, ends="attention"),
        panels=("attended",),
        names=(("attended", "to"),),
        counts=COUNTS,
        beside=(("even_attention", "even attention (%)"),),
        over="prompts",
        note="of a causal model the last token's attention",
    ),
    Chart(
        "distances",
        "How far masks attend, against even attention",
        _distances,
        "line",
        Axis("attended_distance", "distance to the key (tokens)", scale="symlog"),
        Axis("times_even", "times the even share", scale="log", ends="times_even"),
        counts=COUNTS,
        more=("attention", "even_attention"),
        over="prompts",
        layers=(ChartLayer("even", _ones, "rule"),),
        note="a distance stands for those up to the next one",
    ),
    Chart(
        "removal",
        "What removing each layer's strongest key changes, and other keys",
        lambda tables, frame: tables["removal"],
        "interval",
        Axis("kl", "divergence from predictions with all keys (nats)", ends="kl"),
        Axis("removed", "keys removed"),
        counts=COUNTS,
        more=("tv", "top_changed"),
        over="prompts",
    ),
)
