"""Calibration of answers about needles: by depth, and by the length of the text."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.analysis import calibration_report
from mdlm_probe.analysis.calibration_report import graded, over
from mdlm_probe.analysis.charts import Axis, Rows
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.probes.needle.probe import ABSENT

ITEM = ["needles", "lexicon", "seed", "item"]
COUNTS = (("n", "needles"),)


def tables(frame: pd.DataFrame) -> Tables:
    """The "calibration" by length and depth, and the "reliability" by length, with the fact.

    Of answers of one token: of longer ones rows don't hold how probable the predicted text is.
    Depth -1 is the text without the fact.
    """
    if not {"right_tokens", "top1_prob"} <= set(frame.columns):
        return {}
    rows = frame[frame["right_tokens"] == 1].sort_values(
        ["context_length", "depth"], kind="stable", ignore_index=True
    )
    if not len(rows):
        return {}
    answers = graded(rows, rows["top1_prob"], rows["correct"], ITEM, ITEM)
    held = answers[answers["depth"] != ABSENT]
    return {
        "calibration": calibration_report.calibration(
            answers, ["model", "context_length", "depth"]
        ),
        "reliability": calibration_report.reliability(held, ["model", "context_length"]),
    }


def _charted(name: str) -> Rows:
    """The rows of a chart: a table by name, without texts that lack the fact."""

    def rows(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
        table = over(tables.get(name, pd.DataFrame()), "needles", "one needle")
        return table[table["depth"] != ABSENT] if "depth" in table else table

    return rows


CHARTS = (
    calibration_report.calibration_chart(
        _charted("calibration"),
        Axis("depth", "depth of the fact (%)"),
        panels=("context_length",),
        names=(("context_length", "tokens"),),
        counts=COUNTS,
    ),
    calibration_report.reliability_chart(
        _charted("reliability"), panels=("context_length",), names=(("context_length", "tokens"),)
    ),
)
