"""Calibration of answers by what is appended to their prompt, and how much of it."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.analysis import calibration_report
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.probes._few_shot import graded_answers
from mdlm_probe.probes._few_shot.graded_answers import AMONG
from mdlm_probe.probes.masks.item_pairs import SERIES


def tables(rows: pd.DataFrame) -> Tables:
    """The "calibration" at every k of a series, and the "reliability" under masks.

    Where a model was asked without masks, the reliability is that under all of its fillers.

    Args:
        rows: by series, see `report.series`.
    """
    answers = graded_answers.answers(rows)
    if not len(answers):
        return {}
    answers = answers.sort_values("k", kind="stable")
    with_masks = answers.loc[answers["filler"] == "mask", "model"].unique()
    shown = answers[(answers["filler"] == "mask") | ~answers["model"].isin(with_masks)]
    by = [*SERIES, AMONG, "k", "amount"]
    found = {
        "calibration": calibration_report.calibration(answers, by),
        "reliability": calibration_report.reliability(graded_answers.main(shown), by),
    }
    return {
        name: table.assign(k=table["k"].round(9)).rename(columns={"k": "appended"})
        for name, table in found.items()
    }
