"""Joint on the page: what steps of several masks lose, orders, pairs of masks, sets of words."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart, measures
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.published import OwnValue, PublishedValue
from mdlm_probe.probes.joint import report

READ = (
    "A model with one joint distribution loses nothing by its order: its gains are 0. What steps of"
    " several masks lose is measured on the texts they write; pairs of masks say how much two"
    " marginals miss, and by how far they are from any joint."
)
TASK = "task"
MASKS = "{masks} on the canvas (pairs), {length} (orders and budget)"
SPAN = "span of a text's log-likelihood over reveal orders (nats a token)"
PUBLISHED = (PublishedValue(SPAN, "masked models of the paper", "up to 0.49", "arXiv 2606.00997"),)
PAIRS = {
    "mi": "mutual information (nats)",
    "tv": "total variation",
    "unlikely": "probability of an unlikely pair",
}
WAYS = {"incoherent_parallel": "parallel", "incoherent_sequential": "sequential"}


def ours(tables: Tables) -> Iterator[OwnValue]:
    """The mean span of all texts together."""
    for row in _whole(tables.get("spread", pd.DataFrame())).itertuples():
        yield OwnValue(SPAN, row.model, row.span, row.span_low, row.span_high)


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    """All tasks together, or the only one."""
    several = len(table) and (table["task"] == report.ALL).any()
    return table[table["task"] == report.ALL] if several else table


def _budget(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return _whole(tables.get("budget", pd.DataFrame()))


def _orders(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    table = _whole(tables.get("orders", pd.DataFrame()))
    return table.dropna(subset=["gain"]) if "gain" in table else pd.DataFrame()


def _pairs(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return measures(_whole(tables.get("pairs", pd.DataFrame())), ("model", "distance", "n"), PAIRS)


def _sets(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The share of mixed fillings, of parallel and of sequential ones, all sets together."""
    table = tables.get("sets", pd.DataFrame())
    if not len(table):
        return table
    whole = table[table["set"] == report.ALL]
    found = measures(whole, ("model", "n"), WAYS, 100)
    return found.rename(columns={"measure": "way"})


TEXTS = (("n", "texts"),)
CHARTS = (
    Chart(
        "budget",
        "What steps of n masks lose",
        _budget,
        "line",
        Axis("at_once", "masks committed in a step", log=True),
        Axis("drop", "lost (nats a token)", ends="drop"),
        names=TEXTS,
    ),
    Chart(
        "orders",
        "Log-likelihood of a text in other orders, minus left to right",
        _orders,
        "interval",
        Axis("order", "order"),
        Axis("gain", "gained (nats a token)", ends="gain"),
        names=TEXTS,
    ),
    Chart(
        "pairs",
        "Two masks filled at once, against one after the other",
        _pairs,
        "line",
        Axis("distance", "tokens from one mask to the other", log=True),
        Axis("value", "measure", ends="value"),
        panels=("measure",),
        names=TEXTS,
    ),
    Chart(
        "sets",
        "Fillings that mix two pairs of words that only go together",
        _sets,
        "interval",
        Axis("way", "how the two words are filled in"),
        Axis("value", "fillings that mix two pairs (%)", ends="value"),
        names=(("n", "sets"),),
    ),
)
