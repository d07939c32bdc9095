"""Attribution on the page: by position of the examples, and to masks and other tokens."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart, over_sets
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.published import OwnValue, PublishedValue
from mdlm_probe.probes.attribution import report

READ = (
    "How much the answer hangs on an example, by its position: ends above the middle are primacy"
    " (at the left) and recency (at the right). Beneath, the mean score of a token by group: masks"
    " that carry nothing should have little. Scores are relative to the largest of a prompt."
)
TASK = ""
"""Tables of every set would take minutes."""
MASKS = "{masks} appended (0: the answer's own only)"
SAME = ("right", 50, "grad-norm")
"""Question, masks and method of the published values."""
WHAT = dict(
    zip(
        report.GROUPS[1:],
        (f"gradient norm, 50 masks: {what}" for what in ("masks", "last 50 others", "all others")),
        strict=True,
    )
)
PUBLISHED = tuple(
    PublishedValue(what, model, f"{value:.3f}", report.TABLE)
    for what, values in zip(WHAT.values(), zip(*report.PAPER.values(), strict=True), strict=True)
    for model, value in zip(report.PAPER, values, strict=True)
)


def ours(tables: Tables) -> Iterator[OwnValue]:
    """Mean scores of groups in the published setting."""
    table = over_sets(tables["groups"])
    for row in table.itertuples():
        if (row.question, row.masks, row.method) == SAME and row.group in WHAT:
            yield OwnValue(WHAT[row.group], row.model, row.normalised, row.best_low, row.best_high)


def _positions(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    table = tables.get("positions", pd.DataFrame())
    return over_sets(table[table["label"] == "any"]) if len(table) else table


def _groups(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    table = over_sets(tables["groups"])
    return table.assign(group=pd.Categorical(table["group"], report.GROUPS))


NAMES = (("n", "items"), ("masks", "masks appended:"))
CHARTS = (
    Chart(
        "positions",
        "Attribution of the answer by position of the example",
        _positions,
        "line",
        Axis("position", "position of the example (0: far left)"),
        Axis("normalised", "score (largest of the prompt: 1)", ends="best"),
        dash="method",
        panels=("question", "masks"),
        names=NAMES,
        more=("n", "sets"),
    ),
    Chart(
        "groups",
        "Attribution to masks and other tokens",
        _groups,
        "interval",
        Axis("group", "group of tokens"),
        Axis("normalised", "score (largest of the prompt: 1)", ends="best"),
        dash="method",
        panels=("question", "masks"),
        names=NAMES,
        more=("n", "sets"),
        beside=(("paper", f"the same model in {report.TABLE}"),),
    ),
)
