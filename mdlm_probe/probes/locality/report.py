"""Accuracy against the position of the relevant examples, and the locality index."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mdlm_probe.analysis import calibration_report, stats
from mdlm_probe.analysis.charts import TASKS, Axis, Chart, Rows, best_ends
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.pairing import Measure, Pairing
from mdlm_probe.probes._few_shot import choices, graded_answers, report_parts
from mdlm_probe.probes._few_shot.report_parts import (
    ACCURACY,
    COUNTS,
    ITEM,
    P_RIGHT,
    PLACES,
    RELEVANT,
    with_task,
)
from mdlm_probe.probes.locality.contrasts import (
    CURVE,
    ENDS_MIDDLE,
    change,
    ends_and_middle,
    index,
    nearness,
    places,
    shape,
)

notes = report_parts.notes
PRINTED = ("accuracy", "index", "shape", "change", "places")
AMONG = graded_answers.AMONG
ALL_POSITIONS = [name for name in CURVE if name != "position"]


def tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The report's tables by name.

    "accuracy" by position, the locality "index", the "shape" of curves; the "change" of the index
    where there are several numbers of masks, "places" where the question stands at the left, too.

    Raises:
        KeyError, ValueError: for rows that a locality run didn't write.
    """
    frame[["question_masks", "position", "correct", "logp_right"]].apply(pd.to_numeric)
    frame = with_task(frame)
    found = {"accuracy": accuracy(frame), "index": index(frame)}
    more = {"shape": shape(frame), "change": change(frame), "places": places(frame)}
    answers = graded_answers.answers(frame)
    more["calibration"] = calibration_report.calibration(answers, [*CURVE, AMONG])
    more["reliability"] = calibration_report.reliability(
        graded_answers.main(answers), [*ALL_POSITIONS, AMONG]
    )
    return found | {name: table for name, table in more.items() if len(table)}


def accuracy(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of each model, question place, number of masks and position.

    Two 95 % intervals: over the `n` items (Wilson), and over the relevant `tasks`
    (`stats.share_over`; the paper's, of the sets' means, takes two sets of a task for two units,
    and fails near 100 %). `p_right` is the mean probability of the right answer, with the t
    interval over relevant tasks, cut at 0 and 1. Which options are answered: `choices.chosen`.
    """
    rows = []
    frame = choices.with_letters(with_task(frame))
    for coordinates, part in frame.groupby(CURVE, observed=True, sort=False):
        items = stats.proportion(part["correct"].to_numpy())
        tasks = stats.share_over(part["correct"].to_numpy(), part[RELEVANT].to_numpy())
        right = stats.clustered(np.exp(part["logp_right"].to_numpy()), part[RELEVANT].to_numpy())
        rows.append(
            dict(zip(CURVE, coordinates, strict=True))
            | {"accuracy": items.mean, "n": items.n}
            | items.ends("items")
            | tasks.ends("tasks")
            | {"tasks": tasks.n, "p_right": right.mean}
            | right.within(0.0, 1.0).ends("p_right")
            | choices.chosen(part)
        )
    table = pd.DataFrame(rows)
    table["question"] = pd.Categorical(table["question"], PLACES, ordered=True)
    order = {model: i for i, model in enumerate(frame["model"].unique())}
    return table.sort_values(
        CURVE, key=lambda c: c.map(order) if c.name == "model" else c, ignore_index=True
    )


# ---------------------------------------------------------------------- charts


READ = (
    "A flat line at 100 % finds the relevant examples wherever they stand. A line that falls to the"
    " left of a question at the right end is recency; the locality index says how much, and 0 is no"
    " bias. A U has index 0, too: the table shape has what the ends have over the middle. Bands are"
    " 95 % over relevant tasks, the independent unit: the sets of a task are alike. Where there is"
    " one task, they are over its items."
    f" {calibration_report.READ}"
)
TASK = "set"
MASKS = "{masks} (0 is one mask, closed)"


def task_tables(frame: pd.DataFrame) -> Tables:
    """The tables that the charts of a set need."""
    return {"accuracy": accuracy(frame)}


def _accuracy(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    chance = 1 / frame["options"].max()
    return best_ends(tables["accuracy"]).assign(chance=chance)


def _certain(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The probabilities, of which one relevant task has no interval."""
    return tables["accuracy"].assign(over=TASKS)


def _under_masks(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """Both measures, where there are several numbers of masks."""
    table = best_ends(tables["accuracy"])
    if table["question_masks"].nunique() < 2:
        return pd.DataFrame()
    names = {
        k: "one mask, closed" if k == 0 else f"{k} masks"
        for k in sorted(set(table["question_masks"]))
    }
    masks = pd.Categorical(table["question_masks"].map(names), list(names.values()), ordered=True)
    return table.assign(question_masks=masks)


def _calibrated(name: str) -> Rows:
    return lambda tables, frame: graded_answers.charted(tables.get(name, pd.DataFrame()))


MASKED = (("question_masks", "masks"),)
POSITION = Axis("position", "distractors left of the relevant block")
CALIBRATED = graded_answers.COUNTS
CHARTS = (
    Chart(
        "",
        "Accuracy by position of the relevant examples",
        _accuracy,
        "line",
        POSITION,
        ACCURACY,
        dash="question_masks",
        panels=("question",),
        names=MASKED,
        counts=COUNTS,
        beside=(("chance", "chance (%)"),),
    ),
    Chart(
        "p_right",
        "Probability of the right answer by position of the relevant examples",
        _certain,
        "line",
        POSITION,
        P_RIGHT,
        dash="question_masks",
        panels=("question",),
        names=MASKED,
        counts=COUNTS,
    ),
    Chart(
        "masks",
        "Position of the relevant examples, under masks at the question",
        _under_masks,
        "line",
        POSITION,
        (ACCURACY, P_RIGHT),
        colour="question_masks",
        panels=("model", "question"),
        names=MASKED,
        counts=COUNTS,
    ),
    calibration_report.calibration_chart(
        _calibrated("calibration"),
        POSITION,
        dash="question_masks",
        panels=("question",),
        names=MASKED,
        counts=CALIBRATED,
    ),
    calibration_report.reliability_chart(
        _calibrated("reliability"), dash="question_masks", panels=("question",), names=MASKED
    ),
)


# ---------------------------------------------------------------------- comparing


def answered(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with the probability of the right answer, `p_right`."""
    return with_task(frame).assign(p_right=np.exp(pd.to_numeric(frame["logp_right"])))


PAIRED = (
    Pairing(
        {
            "correct": Measure("accuracy (points)", hits=True, scale=100, better="more"),
            "p_right": Measure(
                "probability of the right answer (points)", scale=100, better="more"
            ),
        },
        item=ITEM,
        by=("question", "question_masks", "position"),
        cluster=RELEVANT,
        rows=answered,
    ),
    Pairing(
        {"index": Measure("locality index (points)", scale=100)},
        item=ITEM,
        by=("question", "question_masks", "nearest", "farthest"),
        cluster=RELEVANT,
        name="index",
        rows=nearness,
    ),
    Pairing(
        {
            "primacy": Measure("primacy (points)", scale=100),
            "recency": Measure("recency (points)", scale=100),
            ENDS_MIDDLE: Measure("ends minus middle (points)", scale=100),
        },
        item=ITEM,
        by=("question", "question_masks"),
        cluster=RELEVANT,
        name="shape",
        rows=ends_and_middle,
    ),
)
