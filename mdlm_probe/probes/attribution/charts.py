"""Charts of attribution: by position of the examples, and to masks and other tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart, ChartLayer, best_ends
from mdlm_probe.analysis.frames import Tables, records
from mdlm_probe.analysis.published import OwnValue, PublishedValue
from mdlm_probe.probes._few_shot.report_parts import COUNTS, PLACES
from mdlm_probe.probes.attribution import report

READ = (
    "How much the answer hangs on an example, by its position: ends above the middle are primacy"
    " (at the left) and recency (at the right). Beneath, the mean score of a token by group: masks"
    " that carry nothing should have little. Examples are relative to the largest of their prompt,"
    " tokens to its largest but the answer's own mask, as in the paper; a second column of the"
    " table has tokens relative to the largest of all."
)
MASKS = "{masks} appended (0: the answer's own only)"
TABLE = "arXiv 2511.21338, table 1"
SAME = ("right", 50, "grad-norm")
"""Question, masks and method of the published values."""
SAID = dict(
    zip(
        report.GROUPS[1:],
        (f"gradient norm, 50 masks: {what}" for what in ("masks", "last 50 others", "all others")),
        strict=True,
    )
)
PUBLISHED = tuple(
    PublishedValue(what, model, f"{value:.3f}", TABLE)
    for what, values in zip(SAID.values(), zip(*report.PAPER.values(), strict=True), strict=True)
    for model, value in zip(report.PAPER, values, strict=True)
)


def ours(tables: Tables) -> Iterator[OwnValue]:
    """Mean scores of groups in the published setting."""
    for row in records(tables["groups"]):
        if (row["question"], row["appended_masks"], row["method"]) == SAME and row["group"] in SAID:
            value, *ends = (row[f"by_others{end}"] for end in ("", "_low", "_high"))
            if value == value:  # rows measured without the column have none
                yield OwnValue(SAID[row["group"]], row["model"], value, *ends)


LINES = {"any": "any example", "relevant": "relevant ones", "distractor": "distractors"}
NAMED = dict(
    zip(
        report.GROUPS[1:],
        ("appended masks", "last 50 other tokens", "all other tokens"),
        strict=True,
    )
)


def _positions(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """Scores by position, of any example, of relevant ones and of distractors."""
    table = tables["positions"]
    if not len(table):
        return table
    labels = pd.Categorical(table["label"].map(LINES), list(LINES.values()), ordered=True)
    return _placed(best_ends(table).assign(label=labels))


def _question(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """Where the question stands among the examples."""
    table = tables["positions"]
    count = int(table["examples_before"].max()) + 1
    at = {"left": -0.5, "middle": count // 2 - 0.5, "right": count - 0.5}
    places = list(dict.fromkeys(table["question"]))
    return pd.DataFrame({"question": places, "examples_before": [at[place] for place in places]})


def _groups(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """Scores of groups as the paper has them: the answer's own mask has none."""
    table = best_ends(tables["groups"])
    table = table[table["group"] != report.GROUPS[0]] if len(table) else table
    return _placed(table.assign(group=_grouped(table["group"]))) if len(table) else table


def _paper(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The paper's values of its six models, beside runs of its setting."""
    table = tables["groups"]
    if not len(table) or set(table["method"]) != {SAME[2]}:
        return pd.DataFrame()
    rows = [
        {"question": SAME[0], "appended_masks": SAME[1], "group": group, "by_others": value}
        for values in report.PAPER.values()
        for group, value in zip(report.GROUPS[1:], values, strict=True)
    ]
    found = pd.DataFrame(rows)
    return found.assign(group=_grouped(found["group"]))


def _grouped(group: pd.Series) -> pd.Categorical[Any]:
    return pd.Categorical(group.map(NAMED), list(NAMED.values()), ordered=True)


def _placed(table: pd.DataFrame) -> pd.DataFrame:
    """The question's places in order, from left to right."""
    places = pd.Categorical(table["question"], PLACES, ordered=True)
    return table.assign(question=places)


SCORE = Axis("normalised", "score / largest of its prompt", ends="best")
OTHERS = Axis("by_others", "score / largest other token of its prompt", ends="by_others")
SHOWN = (
    ("question", "question"),
    ("appended_masks", "masks appended:"),
    ("label", ""),
    ("method", ""),
)
CHARTS = (
    Chart(
        "",
        "Attribution of the answer by position of the example",
        _positions,
        "line",
        Axis("examples_before", "position of the example (0: far left)"),
        SCORE,
        dash="method",
        panels=("appended_masks", "question", "label"),
        names=SHOWN,
        counts=COUNTS,
        layers=(ChartLayer("question", _question, "rule"),),
    ),
    Chart(
        "groups",
        "Attribution to masks and other tokens",
        _groups,
        "interval",
        OTHERS,
        Axis("group", ""),
        dash="method",
        panels=("appended_masks", "question"),
        names=SHOWN,
        counts=COUNTS,
        beside=(("paper", f"{TABLE}: the same model"),),
        layers=(ChartLayer(f"{TABLE}: its six models", _paper, "point"),),
    ),
)
