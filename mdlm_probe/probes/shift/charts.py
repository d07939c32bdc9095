"""Charts of shift: what moved tokens cost beside the controls, and how far damage runs."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.analysis import text_quality
from mdlm_probe.analysis.charts import Axis, Chart, at
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.probes.shift import report

READ = (
    "A shift that costs more than the same moves made afterwards (post-hoc) is what later steps"
    " make of a misplaced token. Likelihood is the scorer's, which likes repetition: the entropy of"
    " the answers' own tokens stands beside it, and the truth of the small language, edits and"
    " exact matches, which no repetition wins. Bands are 95 % over prompts."
)
TASK = "task"
MASKS = "a canvas of {length}"
SAYS = (
    "moving 1 % of the tokens of LLaDA-8B-Instruct by one place substantially lowers its win rate"
    " on Arena-Hard (arXiv 2601.22947); figures by rate are not public."
)
NAMES = {
    "none": "nothing changed",
    "shift": "moved while decoding (shift)",
    "post-hoc": "moved afterwards (post-hoc)",
    "replace": "another token (replace)",
    "hold": "a step later (hold)",
}


def task_tables(frame: pd.DataFrame) -> Tables:
    """The tables that the charts of a task need."""
    rows = report.compared(frame)
    return {
        "harm": report.harm(rows),
        "cascade": report.cascade(rows),
        "frontier": report.frontier(rows),
    }


def _harm(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The harm; how many answers differ at all where there is no right one."""
    table = tables["harm"] if len(tables["cascade"]) else pd.DataFrame()
    return _named(table.drop(columns="answers_differ") if "correct_points" in table else table)


def _likelihood(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """Nats and entropy, where there is a scorer."""
    table = tables["harm"] if len(tables["cascade"]) else pd.DataFrame()
    return _named(table) if "nats" in table else pd.DataFrame()


def _cascade(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return _named(tables["cascade"])


def _frontier(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return _named(tables["frontier"])


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """Interventions in words, in an order of their own."""
    if not len(table):
        return table
    kinds = pd.Categorical(table["intervention"].map(NAMES), list(NAMES.values()), ordered=True)
    return table.assign(intervention=kinds.remove_unused_categories())


HARM = (
    Axis("truth_points", "more truth of the small language (points)", ends="truth_points"),
    Axis("valid_points", "more valid words of it (points)", ends="valid_points"),
    Axis("edits", "edit distance (% of tokens)", 100, ends="edits"),
    Axis("correct_points", "exact match (points of 100)", ends="correct_points"),
    Axis("answers_differ", "answers that differ (%)", 100, ends="answers_differ"),
)
LIKELIHOOD = (
    Axis("nats", "more nats per scorer token", ends="nats"),
    Axis("more_entropy", "more entropy of the answer's own tokens (nats)", ends="more_entropy"),
)
CASCADE = (
    Axis("by_change", "other places that differ per changed token", ends="by_change"),
    Axis(
        "parted_8",
        "of the 8 positions after the first difference, differ (%)",
        100,
        ends="parted_8",
    ),
    Axis(
        "parted_32",
        "of the 32 positions after the first difference, differ (%)",
        100,
        ends="parted_32",
    ),
)
CHARTS = (
    *(
        Chart(
            name,
            title,
            rows,
            "line",
            Axis("frac", "tokens to be changed (%)", 100, scale="symlog"),
            axes,
            colour="intervention",
            panels=("model",),
            counts=(("n", "prompts"),),
            over="prompts",
            layers=(at("", **{axis.column: 0.0 for axis in axes}),),
        )
        for name, title, rows, axes in (
            ("", "Harm of changed tokens, against the unintervened answer", _harm, HARM),
            (
                "likelihood",
                "Likelihood of changed answers: more entropy costs nats, too",
                _likelihood,
                LIKELIHOOD,
            ),
            ("cascade", "How far a change runs on, after the first difference", _cascade, CASCADE),
        )
    ),
    text_quality.frontier_chart(
        _frontier, colour="intervention", panels=("model",), more=("frac",)
    ),
)
