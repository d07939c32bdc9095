"""Charts of context: gains against the tokens shown, by place, and the likelihoods themselves."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart, Rows, at
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.row_parts import ALL

READ = (
    "A model that uses both sides gains by the text's own tokens at the right, and by no others:"
    " another text's mislead it. Where these help as well, it is helped by their being there, not"
    " by what they say. An exact reader gains what there is to be gained. A model that reads"
    " nothing at its right has gains of 0."
)
MASKS = "the span's, one by one ({order}); where the text goes on unseen: {beyond}"
SAYS = (
    "arXiv 2510.03289 doubts that bidirectional attention brings masked models anything in"
    " practice; it has no figures of it."
)
SOURCES = {"own": "its own", "foreign": "another text's", "shuffled": "its own, shuffled"}


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    """All tasks together, or the only one."""
    if not len(table):
        return table
    found = table[table["task"] == ALL] if (table["task"] == ALL).any() else table
    return _named(found)


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """Panels by span, in words; what stands beyond, where it isn't one thing in all rows."""
    span = table["span_tokens"].map(_words)
    several = table["beyond"].nunique() > 1
    way = ", then " + table["beyond"].map({"cut": "nothing", "masks": "masks"}).astype(str)
    source = table["right_from"] if "right_from" in table else pd.Series("own", table.index)
    told = source.map(SOURCES).astype(str) + (way if several else "")
    names = [*dict.fromkeys(span)]
    return table.assign(span=pd.Categorical(span, names, ordered=True), side=told)


def _words(span: int) -> str:
    if not span:
        return "the answer"
    return f"{span} token" + "s" * (span > 1)


def _of(name: str) -> Rows:
    """A report's table by name; no rows where that wasn't measured."""
    return lambda tables, frame: _whole(tables.get(name, pd.DataFrame()))


def _shares(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    table = _whole(tables.get("share", pd.DataFrame()))
    return table.dropna(subset=["of_exact"]) if len(table) else table


def _levels(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The log-likelihood given the left alone, and given both sides."""
    table = _whole(tables.get("overview", pd.DataFrame()))
    if not len(table):
        return table
    found = []
    for name, words in (("left_per_token", "left alone"), ("both_per_token", "both sides")):
        if name in table:
            ends = {f"{name}{end}": f"level{end}" for end in ("", "_low", "_high")}
            kept = ["model", "span", "side", "n", *ends]
            part = table[kept].rename(columns=ends).dropna(subset=["level"])
            way = part["side"].str.removeprefix("its own")
            found.append(part.assign(given=words + (way if name == "both_per_token" else "")))
    both = pd.concat(found, ignore_index=True).drop_duplicates(["model", "span", "given", "level"])
    names = [*dict.fromkeys(both["given"])]
    return both.assign(given=pd.Categorical(both["given"], names, ordered=True))


COUNTS = (("n", "texts"),)
NAMES = (("side", "right side:"), ("span", "span of"))
SHOWN = Axis("right_shown", "tokens at the right of the span", scale="log")


def _lines(name: str, title: str, rows: Rows, x: Axis, y: Axis, **own: Any) -> Chart:
    """A line for each model, a panel for each span, bands over texts."""
    shared = {"panels": ("span",), "names": NAMES, "counts": COUNTS, "over": "texts"}
    given: dict[str, Any] = shared | {"dash": "side"} | own
    return Chart(name, title, rows, "line", x=x, y=y, **given)


CHARTS = (
    _lines(
        "",
        "What tokens at the right of a span add to its log-likelihood",
        _of("gain"),
        SHOWN,
        Axis("gain", "gained (nats per token)", scale="symlog", knee=0.5, ends="gain"),
        more=("right_amount",),
        layers=(at("0: nothing gained", gain=0.0),),
    ),
    _lines(
        "share",
        "The share of the exact gain that a model realises",
        _shares,
        SHOWN,
        Axis("of_exact", "of the exact gain (%)", 100, ends="of_exact"),
        layers=(at("100 %: all there is to gain", of_exact=1.0),),
    ),
    _lines(
        "places",
        "What all tokens at the right add, by the token's place in the span",
        _of("places"),
        Axis("place", "token of the span, from the left"),
        Axis("place_gain", "gained (nats)", ends="place_gain"),
        layers=(at("0: nothing gained", place_gain=0.0),),
    ),
    Chart(
        "levels",
        "Log-likelihood of a span, given its left alone and given both sides",
        _levels,
        "interval",
        Axis("level", "log-likelihood (nats per token)", ends="level"),
        Axis("given", ""),
        panels=("span",),
        names=NAMES,
        counts=COUNTS,
        over="texts",
    ),
)
