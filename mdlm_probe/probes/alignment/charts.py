"""Charts of alignment: the cross-entropy by distance, penalties by share of masks and by loss."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart, ChartLayer, at
from mdlm_probe.analysis.frames import Tables

READ = (
    "Above the unmoved line is what cross-entropy charges for right tokens in the wrong place. One"
    " replaced token, all others in place, says what a wrong token costs. A loss over placements"
    " charges nothing for a shift within one run of masks, by construction; what it charges for an"
    " inserted or missing token is measured. A model that repeats itself pays little: the table"
    " says how many tokens stand there anyhow. Bands are 95 % over texts."
)
TASK = "task"
MASKS = "in the tail of a text of up to {length} tokens"
SAYS = (
    "position-wise supervision punishes small displacements that keep the meaning (arXiv"
    " 2601.22947); figures are not public."
)
NAMES = {
    "unmoved": "in its place (unmoved)",
    "right": "moved to the right (right)",
    "left": "moved to the left (left)",
    "inserted": "token inserted (inserted)",
    "replaced": "token replaced (replaced)",
}
BY_LOSS = {
    "": "cross-entropy",
    "flexible_": "any placement",
    "slack_": "any placement, with <slack>",
}
SHOWN = {
    "none": "nothing visible",
    "moved": "moved text visible",
    "unmoved": "unmoved text visible: labels alone moved",
}


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the largest share of masks, its own text visible among them, if any."""
    largest = table["masked_share"] == table["masked_share"].max()
    rows: pd.DataFrame = table[largest & (table["tail_shown"] != "unmoved")]
    return rows


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """Targets in words, in an order of their own."""
    kinds = pd.Categorical(table["target"].map(NAMES), list(NAMES.values()), ordered=True)
    return table.assign(target=kinds.remove_unused_categories())


def _curve(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """Without the inserted target: it is the one moved to the right, and the other token."""
    table = tables.get("curve", pd.DataFrame())
    if not len(table):
        return table
    rows = _whole(table)
    return _named(rows[rows["target"] != "inserted"])


def _level(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The flexible loss of the tail, per token."""
    table = tables.get("losses", pd.DataFrame())
    if not len(table):
        return table
    rows = _whole(table[table["target"] == "unmoved"])
    return rows[["model", "flexible"]].rename(columns={"flexible": "token_ce"})


def _by_share(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """Penalties at every share; where nothing is visible, both ways meet."""
    table = tables.get("penalties", pd.DataFrame())
    if not len(table):
        return table
    ways = [
        table[table["tail_shown"].isin(["none", way])].assign(visible=SHOWN[way])
        for way in ("moved", "unmoved")
        if (table["tail_shown"] == way).any()
    ]
    rows = pd.concat(ways) if ways else table.assign(visible=SHOWN["none"])
    return _named(rows.sort_values("masked_share", kind="stable"))


def _by_loss(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    table = tables.get("penalties", pd.DataFrame())
    if not len(table):
        return table
    rows, parts = _whole(table), []
    for loss, title in BY_LOSS.items():
        name = f"{loss}penalty"
        ends = {f"{name}{end}": f"nats{end}" for end in ("", "_low", "_high")}
        kept = rows[["model", "target", "n", *ends]].rename(columns=ends)
        parts.append(kept.dropna(subset=["nats"]).assign(loss=title))
    return _named(pd.concat(parts, ignore_index=True))


CHARTS = (
    Chart(
        "",
        "Cross-entropy of a text's tail, in its place and moved by one",
        _curve,
        "line",
        Axis("from_point", "token from the point of the shift (0: the other token)"),
        Axis("token_ce", "cross-entropy (nats)", ends="token_ce"),
        colour="target",
        panels=("model",),
        counts=(("n", "texts"),),
        over="texts",
        layers=(ChartLayer("any placement (flexible loss), per token", _level, "rule"),),
    ),
    Chart(
        "losses",
        "What one place, or one token, costs by each loss",
        _by_loss,
        "interval",
        Axis("nats", "more than unmoved (nats per token)", ends="nats"),
        Axis("target", ""),
        colour="loss",
        panels=("model",),
        counts=(("n", "texts"),),
        over="texts",
        layers=(at("", nats=0.0),),
    ),
    Chart(
        "share",
        "What cross-entropy charges more, by the share of the tail that is masked",
        _by_share,
        "line",
        Axis("masked_share", "tail that is masked (%)", 100),
        Axis("penalty", "more than unmoved (nats per token)", ends="penalty"),
        colour="target",
        dash="visible",
        panels=("model",),
        names=(("visible", ""),),
        counts=(("n", "texts"),),
        over="texts",
        layers=(at("", penalty=0.0),),
    ),
)
