"""Charts of blocks: quality against cost, block sizes, and the order of filling in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mdlm_probe.analysis import text_quality
from mdlm_probe.analysis.charts import Axis, Chart, ChartLayer, HeatColours
from mdlm_probe.analysis.frames import Tables, grouped
from mdlm_probe.probes.blocks import answer_charts, answer_tables, report
from mdlm_probe.probes.blocks.equivalent import FREE, LEFT, SERIES, EquivalentCells

READ = (
    "To the left is cheap, below is what a causal scorer finds likely. Repetitive texts have low"
    " perplexities, too: compare them at equal entropy (the frontier), and by truth and repetition."
    " The heat maps say when which place is"
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
"""Places and steps that a heat map tells apart, at most."""
PERPLEXITY = Axis("perplexity", "perplexity", scale="log", ends="perplexity")
TRUTH = Axis("truth", "truth of the small language (%)", 100, ends="truth")
CORRECT = Axis("correct", "exact match (%)", 100, ends="correct")
REPEATED = Axis("repeated", "repeated 4-grams (%)", 100, ends="repeated")


def task_tables(frame: pd.DataFrame) -> Tables:
    """The tables that the charts of a task need."""
    table = report.quality(frame)
    found = {
        "quality": table,
        "frontier": report.frontier(frame),
        "front": report.front(frame, table),
        "lengths": report.lengths(table),
    }
    return {name: table for name, table in found.items() if len(table)}


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Orders in order, left to right first."""
    orders = sorted(set(table["order"]), key=lambda order: (order != LEFT, order))
    return table.assign(order=pd.Categorical(table["order"], orders, ordered=True))


def _quality(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return _ordered(tables["quality"])


def _front(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """What no other is cheaper, likelier and as varied as; marked where its perplexity is."""
    if "front" not in tables:
        return pd.DataFrame()
    return tables["front"].drop(columns=["order", "truth", "repeated"], errors="ignore")


def _frontier(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return _ordered(tables["frontier"]) if "frontier" in tables else pd.DataFrame()


def _sizes(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """Quality by block size, a column `rate` of the masks in a step; what stands for others, too.

    Truth, or in other languages perplexity, or what there is without a scorer.
    """
    table = tables["quality"]
    if table["block"].nunique() < 2:
        return pd.DataFrame()
    stands, by = EquivalentCells(table), table.set_index(SERIES)
    rates = sorted((table["length"] / table["steps"]).unique())
    found: list[dict[str, Any]] = []
    for named, part in grouped(table, ["model", "length"]):
        model, length = named["model"], named["length"]
        for rate in rates:
            for order in table["order"].unique():
                if order.split()[0] in FREE and rate != min(rates):
                    continue
                for size in sorted(part["block"].unique()):
                    own = stands.of(model, length, size, round(length / rate), order)
                    if own:
                        at = {"model": model, "length": length, "order": order, "block": size}
                        values = {str(name): value for name, value in by.loc[own].items()}
                        found.append(at | {"rate": float(rate)} | values)
    rows = pd.DataFrame(found)
    names = [name for name in ("truth", "perplexity", "correct", "repeated") if name in table]
    measured = next(name for name in names if table[name].notna().any())
    others = set(names) - {measured}
    return _ordered(rows.drop(columns=list(others))) if len(rows) else rows


def _lengths(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """Quality by canvas length, a column `where` of the block sizes."""
    table = tables.get("lengths", pd.DataFrame())
    if not len(table):
        return table
    measured = [name for name in report.MEASURED if name in table]
    ends = [f"{name}_{end}" for name in measured for end in ("low", "high")]
    # a single prompt has no intervals, and then the table has no columns of them
    table = table.reindex(columns=list(dict.fromkeys((*table.columns, *ends))))
    whole = table["blocks"] == "whole"
    where = ("blocks of " + table["blocks"].astype(str)).where(~whole, "one block")
    prompts = frame.groupby(["model", "length"], observed=True)["prompt"].nunique()
    return _ordered(table.assign(where=where).join(prompts.rename("n"), on=["model", "length"]))


def _places(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The share of a place's tokens that each step wrote, in a middle and the largest block.

    Of each model's longest canvas and largest number of steps; from left to right, too.
    """
    found: list[dict[str, Any]] = []
    for named, part in answer_tables.curve_cells(frame):
        named = named | {"n": len(part)}
        cells = _cells(part["unmasked"], int(part["length"].iloc[0]))
        found += [named | cell for cell in cells]
    return pd.DataFrame(found)


def _cells(unmasked: pd.Series, length: int) -> list[dict[str, Any]]:
    bins = min(BINS, length)
    found = shares(unmasked, length, bins)
    first = [at * length // bins + 1 for at in range(bins)]
    return [
        {"place": place, "step": step, "share": float(found[up, across])}
        for across, place in enumerate(first)
        for up, step in enumerate(first)
    ]


def shares(unmasked: pd.Series, length: int, bins: int = BINS) -> np.ndarray:
    """Of the tokens of each bin of places (columns), the shares that bins of steps wrote (rows).

    Args:
        unmasked: the steps of each canvas's masks; 0 where none wrote one, which counts nowhere.
            Masks behind those asked for, which fill a last block of attention, count nowhere.
        length: masks of a canvas that were asked for; steps are binned over as many, later ones
            in the last bin.
        bins: of places and of steps, at most.
    """
    bins = min(bins, length)
    each = pc.list_slice(pc.split_pattern(pa.array(unmasked, pa.string()), " "), 0, length)
    steps = pc.cast(each.flatten(), pa.int64()).to_numpy().reshape(len(unmasked), -1)
    if pc.any(pc.not_equal(pc.list_value_length(each), steps.shape[1])).as_py():
        raise ValueError("canvases of several lengths")
    at = np.broadcast_to(np.arange(length) * bins // length, steps.shape)
    when = np.minimum((np.maximum(steps, 1) - 1) * bins // length, bins - 1)
    cells = bins * when[steps > 0] + at[steps > 0]
    found = np.bincount(cells, minlength=bins * bins).reshape(bins, bins)
    whole: np.ndarray = np.maximum(found.sum(axis=0), 1)
    return np.asarray(found / whole)


NAMES = (("length", "canvas of"), ("rate", "masks per step:"), ("where", ""), ("order", ""))
COUNTS = (("n", "prompts"),)
CHARTS = (
    Chart(
        "",
        "What an answer costs, and what it is",
        _quality,
        "points",
        Axis("passes_a_token", "passes per token of the answer", scale="log"),
        (TRUTH, PERPLEXITY, CORRECT, REPEATED),
        colour="order",
        dash="block",
        panels=("model", "length"),
        names=NAMES,
        counts=COUNTS,
        more=("steps",),
        over="prompts",
        layers=(ChartLayer("no other is cheaper, as varied and likelier", _front, "point"),),
        note="repetitive texts have low perplexities, too",
    ),
    text_quality.frontier_chart(
        _frontier,
        colour="order",
        panels=("model", "length"),
        names=NAMES,
        more=("block", "steps"),
    ),
    Chart(
        "blocks",
        "Quality against block size: left to right knows none, and small blocks leave no choice",
        _sizes,
        "line",
        Axis("block", "masks of a block", scale="log"),
        (TRUTH, PERPLEXITY, CORRECT, REPEATED),
        colour="order",
        panels=("model", "length", "rate"),
        names=NAMES,
        counts=COUNTS,
        over="prompts",
    ),
    Chart(
        "order",
        "Which places are filled in when",
        _places,
        "heat",
        Axis("place", "place in the canvas, from"),
        Axis("step", "step, from"),
        fill=Axis("share", "of the place's tokens, written in the step (%)", 100),
        panels=("model", "where", "order"),
        names=NAMES,
        counts=COUNTS,
        colours=HeatColours("purples", ends=(0, 50)),
    ),
    Chart(
        "lengths",
        "Quality against the length of the canvas",
        _lengths,
        "line",
        Axis("length", "masks of the canvas", scale="log"),
        (TRUTH, PERPLEXITY, CORRECT, Axis("repeated", "repeated 4-grams (%)", 100)),
        colour="order",
        dash="where",
        panels=("model",),
        names=NAMES,
        counts=(*COUNTS, ("a_step", "masks per step")),
        over="prompts",
    ),
    *answer_charts.CHARTS,
)
