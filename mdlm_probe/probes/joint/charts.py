"""Charts of joint: what steps of several masks lose, orders, pairs of masks, sets of words."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mdlm_probe.analysis import calibration_report
from mdlm_probe.analysis.charts import Axis, Chart, ChartLayer, Rows, at
from mdlm_probe.analysis.frames import Tables, records
from mdlm_probe.analysis.published import OwnValue, PublishedValue
from mdlm_probe.probes.joint import calibration, report

READ = (
    "A model with one joint distribution loses nothing by its order: its gains are 0. What steps of"
    " several masks lose is measured on the texts they write; pairs of masks say how much two"
    " marginals miss, and by how far they are from any joint. The total correlation is what draws"
    " from n marginals lose; the budget is of the likeliest tokens, and can be 0 where that is not."
    f" {calibration_report.READ}"
)
TASK = "task"
MASKS = "{masks} on the canvas (pairs), {length} (orders, budget and total)"
SPAN = "span of a text's log-likelihood over reveal orders (nats per token)"
PUBLISHED = (PublishedValue(SPAN, "masked models of the paper", "up to 0.49", "arXiv 2606.00997"),)


def ours(tables: Tables) -> Iterator[OwnValue]:
    """The mean span of all texts together."""
    for row in records(_whole(tables.get("spread", pd.DataFrame()))):
        yield OwnValue(SPAN, row["model"], row["span"], row["span_low"], row["span_high"])


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    """All tasks together, or the only one."""
    several = len(table) and (table["task"] == report.ALL).any()
    return table[table["task"] == report.ALL] if several else table


def _of(name: str) -> Rows:
    """A report's table by name; no rows where that wasn't measured."""
    return lambda tables, frame: tables.get(name, pd.DataFrame())


def _eps(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """What the largest number of masks in a step may cost."""
    return tables["bound"][["budget_eps"]].drop_duplicates().rename(columns={"budget_eps": "drop"})


def _largest(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """Every model's and task's largest number of masks that costs less."""
    return tables["bound"][["model", "task", "supported"]].rename(columns={"supported": "at_once"})


def _orders(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """Gains over left to right, and below them the span over all orders."""
    table = tables.get("orders", pd.DataFrame())
    if "gain" not in table:
        return pd.DataFrame()
    span = tables["spread"].drop(columns="orders")
    names = {f"span{end}": f"gain{end}" for end in ("", "_low", "_high")}
    span = span.rename(columns=names).assign(reveal_order=SPANNED)
    both = pd.concat([table.dropna(subset=["gain"]), span], ignore_index=True)
    order = [*reversed([*dict.fromkeys(both["reveal_order"])])]
    return both.assign(reveal_order=pd.Categorical(both["reveal_order"], order[::-1], ordered=True))


def _pairs(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """All tasks together: what is lost by distance, and the circulation."""
    pairs = tables.get("pairs", pd.DataFrame())
    if not len(pairs):
        return pairs
    turned = tables["circulation"]
    turned = turned[turned["pair_distance"] != report.ALL].astype({"pair_distance": int})
    sizes = ["model", "pair_distance", "size", "size_low", "size_high"]
    return _whole(pairs).merge(turned[sizes], on=["model", "pair_distance"], how="left")


def _at_most(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """What the candidates left out could add at most."""
    table = _pairs(tables, frame)
    most = {name: table[name] + table[f"{name}_bound"] for name in ("mi", "tv_joint", "unlikely")}
    shares = {name: most[name].clip(upper=1.0) for name in ("tv_joint", "unlikely")}
    return table[["model", "pair_distance"]].assign(**most | shares)


def _sequential(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The probability of an unlikely pair where the second mask sees the first."""
    table = _pairs(tables, frame)
    return table[["model", "pair_distance"]].assign(unlikely=table["unlikely_sequential"])


def _sets(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The share of mixed fillings, of parallel and of sequential ones, by set and of all."""
    table = tables.get("sets", pd.DataFrame())
    if not len(table):
        return table
    parts = []
    for way in ("parallel", "sequential"):
        ends = {f"incoherent_{way}{end}": f"mixed{end}" for end in ("", "_low", "_high")}
        kept = ["model", "set", "n", *(name for name in ends if name in table)]
        parts.append(table[kept].rename(columns=ends).assign(way=way))
    found = pd.concat(parts, ignore_index=True)
    if "mixed_low" not in found:  # no set that this model knows
        found = found.assign(mixed_low=float("nan"), mixed_high=float("nan"))
    names = [*dict.fromkeys(found["set"][found["set"] != report.ALL]), report.ALL]
    return found.assign(set=pd.Categorical(found["set"], names, ordered=True))


def _total_eps(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """As `_eps`, of the total correlation."""
    table = tables["total_bound"][["budget_eps"]].drop_duplicates()
    return table.rename(columns={"budget_eps": "total_per_token"})


def _draws(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """What the draws of the same masks lost."""
    names = ["model", "task", "reveal_order", "together", "draw_loss_per_token"]
    return tables["total"][names].rename(columns={"draw_loss_per_token": "total_per_token"})


SPANNED = "span over orders"
COUNTS = (("n", "texts"),)
PAIRS = (
    Axis("mi", "mutual information (nats)", ends="mi"),
    Axis("tv_joint", "total variation", ends="tv_joint"),
    Axis("unlikely", "probability of an unlikely pair", ends="unlikely"),
    Axis("size", "|circulation| (nats)", ends="size"),
)
CHARTS = (
    Chart(
        "",
        "What steps of n masks lose: sequential log-likelihood of the text they write",
        _of("budget"),
        "line",
        Axis("at_once", "masks committed in a step", scale="log"),
        Axis("drop", "lost (nats per token)", scale="symlog", knee=0.1, ends="drop"),
        panels=("task",),
        counts=COUNTS,
        over="texts",
        layers=(
            at("", drop=0.0),
            ChartLayer("eps: what it may cost", _eps, "rule"),
            ChartLayer("largest n under eps", _largest, "rule"),
        ),
    ),
    Chart(
        "orders",
        "Log-likelihood of one text in other orders, minus left to right",
        _orders,
        "interval",
        Axis("gain", "gained (nats per token)", ends="gain"),
        Axis("reveal_order", ""),
        panels=("task",),
        counts=COUNTS,
        over="texts",
        layers=(at("0: one joint explains all orders", gain=0.0),),
    ),
    Chart(
        "pairs",
        "Two masks filled at once, against one after the other",
        _pairs,
        "line",
        Axis("pair_distance", "tokens from one mask to the other", scale="log"),
        PAIRS,
        counts=COUNTS,
        over="texts",
        layers=(
            ChartLayer("at most, with the candidates left out", _at_most, "line"),
            ChartLayer("drawn one after the other", _sequential, "line"),
        ),
    ),
    Chart(
        "sets",
        "Fillings that mix two pairs of words that only go together",
        _sets,
        "interval",
        Axis("mixed", "fillings that mix two pairs (%)", 100, ends="mixed"),
        Axis("set", ""),
        colour="way",
        panels=("model",),
        counts=(("n", "sets"),),
        over="sets",
    ),
    *calibration.CHARTS,
    Chart(
        "total",
        "What n masks lose that are filled at once with draws: their total correlation",
        _of("total"),
        "line",
        Axis("together", "masks filled at once", scale="log"),
        Axis(
            "total_per_token",
            "total correlation (nats per token)",
            scale="symlog",
            knee=0.1,
            ends="total_per_token",
        ),
        panels=("task", "reveal_order"),
        names=(("reveal_order", "order of the masks"),),
        counts=(("n", "texts"), ("draws", "draws of each")),
        more=("sampling_se", "sampling_share"),
        over="texts",
        layers=(
            at("", total_per_token=0.0),
            ChartLayer("eps: what it may cost", _total_eps, "rule"),
            ChartLayer("what the draws lost", _draws, "point"),
        ),
    ),
)
