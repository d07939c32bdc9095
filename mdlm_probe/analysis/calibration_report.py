"""Calibration in reports: the tables and charts that probes with right answers have alike.

A probe says which of its rows are answers, in the columns of `ANSWER`, and what they are grouped
by.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.charts import ITEMS, TASKS, Axis, Chart, ChartLayer, Rows, at
from mdlm_probe.analysis.frames import Tables, grouped

CONFIDENCE, HIT, UNIT, ITEM = "confidence of an answer", "whether it is right", "unit", "item of it"
ANSWER = (CONFIDENCE, HIT, UNIT, ITEM)
"""Columns of graded answers: their probability, 1 or 0, and the names of cluster and item."""
READ = (
    "Calibration: above the diagonal of a reliability curve a model is right more often than it"
    " believes. An error (ECE) whose interval begins at 0 may be chance."
)


def graded(
    frame: pd.DataFrame,
    confidence: pd.Series | np.ndarray,
    hits: pd.Series | np.ndarray,
    unit: Sequence[str],
    item: Sequence[str],
) -> pd.DataFrame:
    """Rows as graded answers; without those that have no confidence.

    Args:
        frame: the rows.
        confidence, hits: of each, the probability of what it answers, and whether that is right.
        unit: columns that name an independent unit.
        item: columns that name an item: units of their own where there is one unit.
    """
    found = frame.assign(
        **{
            CONFIDENCE: np.asarray(pd.to_numeric(confidence), dtype=float),
            HIT: np.asarray(hits, dtype=float),
            UNIT: _named(frame, unit),
            ITEM: _named(frame, item),
        }
    )
    return found[found[CONFIDENCE].notna() & found[HIT].notna()]


def _named(frame: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """The number of each row's combination of values."""
    codes: np.ndarray = frame.groupby(list(names), observed=True, sort=False).ngroup().to_numpy()
    return codes


def calibration(answers: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Whether answers are right as often as they are confident, for each combination of `by`.

    `over_confidence` is the mean confidence minus the accuracy (`stats.over_confidence`), `ece` the
    expected calibration error in bins of equal mass without what chance adds
    (`stats.calibration_error`); `ece_plain` is with it, as papers print it, and `ece_calibrated`
    what that would be on average if confidences were exact. `auroc` says how well confidence tells
    right from wrong answers (`stats.auroc`): .5 not at all; empty where all are right, or none.
    Intervals are over `units`; where there is one, over items. `n` is the items.
    """
    lines = []
    for named, part in grouped(answers, by) if len(answers) else ():
        confidence, hits = part[CONFIDENCE].to_numpy(), part[HIT].to_numpy() == 1
        clusters = _clusters(part)
        error = stats.calibration_error(confidence, hits, clusters)
        lines.append(
            named
            | {"n": part[ITEM].nunique(), "units": part[UNIT].nunique()}
            | {"accuracy": hits.mean(), "mean_confidence": confidence.mean()}
            | stats.over_confidence(confidence, hits, clusters).columns("over_confidence")
            | error.error.columns("ece")
            | {"ece_plain": error.plain, "ece_calibrated": error.calibrated}
            | stats.auroc(confidence, hits, clusters).columns("auroc")
        )
    return pd.DataFrame(lines)


def reliability(answers: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The reliability curve of each combination of `by`: accuracy in bins of confidence.

    Bins are of equal numbers of `answers`, at most ten, from the least confident. `accuracy` has
    the interval of `stats.share_over` over the bin's units, or Wilson's over its answers where it
    has one unit.
    """
    lines = []
    for named, part in grouped(answers, by) if len(answers) else ():
        confidence, bins = part[CONFIDENCE].to_numpy(), stats.bins_of(part[CONFIDENCE].to_numpy())
        for number in range(int(bins.max()) + 1):
            own = bins == number
            hits, units = part[HIT].to_numpy()[own], part[UNIT].to_numpy()[own]
            several = len(np.unique(units)) > 1
            found = stats.share_over(hits, units) if several else stats.proportion(hits)
            lines.append(
                named
                | {"bin": number + 1, "mean_confidence": confidence[own].mean()}
                | found.columns("accuracy")
                | {"answers": int(own.sum()), "units": len(np.unique(units))}
            )
    return pd.DataFrame(lines)


def _clusters(part: pd.DataFrame) -> np.ndarray:
    found: np.ndarray = part[UNIT if part[UNIT].nunique() > 1 else ITEM].to_numpy()
    return found


# ---------------------------------------------------------------------- charts

MEASURES = (
    Axis("ece", "calibration error (points)", 100, ends="ece"),
    Axis("over_confidence", "confidence minus accuracy (points)", 100, ends="over_confidence"),
    Axis("auroc", "AUROC of confidence", ends="auroc"),
)
ANSWERED = Axis("accuracy", "accuracy (%)", 100, ends="accuracy")
BELIEVED = Axis("mean_confidence", "mean confidence of the bin (%)", 100)


def _diagonal(tables: Tables, frame: object) -> pd.DataFrame:
    return pd.DataFrame({"mean_confidence": [0.0, 1.0], "accuracy": [0.0, 1.0]})


def over(table: pd.DataFrame, several: str = TASKS, alone: str = ITEMS) -> pd.DataFrame:
    """A table that says what its intervals are over."""
    if not len(table):
        return table
    return table.assign(over=(table["units"] > 1).map({True: several, False: alone}))


def reliability_chart(
    rows: Rows, panels: tuple[str, ...] = (), dash: str = "", **more: object
) -> Chart:
    """Accuracy against confidence, with the diagonal; other arguments as of `Chart`."""
    return Chart(
        "reliability",
        "Reliability: how often answers of a confidence are right",
        rows,
        "line",
        BELIEVED,
        ANSWERED,
        panels=panels,
        dash=dash,
        counts=(("answers", "answers a bin"),),
        layers=(ChartLayer("perfectly calibrated", _diagonal, "line"),),
        **more,  # type: ignore[arg-type]
    )


def calibration_chart(
    rows: Rows, x: Axis, panels: tuple[str, ...] = (), dash: str = "", **more: object
) -> Chart:
    """Calibration error, over-confidence and AUROC against `x`; other arguments as of `Chart`."""
    return Chart(
        "calibration",
        "Calibration: is what a model is confident of right?",
        rows,
        "line",
        x,
        MEASURES,
        panels=panels,
        dash=dash,
        layers=(at("", over_confidence=0.0),),
        **more,  # type: ignore[arg-type]
    )
