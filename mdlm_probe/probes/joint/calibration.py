"""Calibration of a joint run: is the text's own token the most probable one as often as believed?

Of texts that are scored in an order: at each step the model sees the text's own tokens before it.
What a model writes itself (`budget`) has no right answer, and what it is then given is no text of
the language, so that even an exact reader's confidence there need not be that of the text's tokens.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import calibration_report
from mdlm_probe.analysis.calibration_report import graded, over
from mdlm_probe.analysis.charts import Axis, Rows
from mdlm_probe.analysis.frames import Tables

TEXT = ["task", "prompt"]
LEFT = "masks_left"
MASKS_LEFT = Axis(LEFT, "masks left, at least", scale="log")
COUNTS, NAMES = (("n", "texts"),), (("reveal_order", ""),)


def tables(orders: pd.DataFrame) -> Tables:
    """The "calibration" by order and masks left, and the "reliability" by order.

    `masks_left` counts the masks before a step, its own among them, in octaves: 4 stands for 4
    to 7. Random orders are pooled. An item is a text, which intervals are over.
    """
    answers = guesses(orders)
    return {
        "calibration": calibration_report.calibration(answers, ["model", "reveal_order", LEFT]),
        "reliability": calibration_report.reliability(answers, ["model", "reveal_order"]),
    }


def guesses(orders: pd.DataFrame) -> pd.DataFrame:
    """A row for each step of an order, as a graded answer; none of rows without confidences."""
    if not {"confidences", "matches"} <= set(orders.columns):
        return pd.DataFrame()
    known = orders[orders["confidences"].notna()]
    if not len(known):
        return pd.DataFrame()
    lists = {name: known[name].map(_values) for name in ("confidences", "matches")}
    steps = lists["confidences"].map(len).to_numpy()
    rows = known[["model", *TEXT, "reveal_order"]].loc[known.index.repeat(steps)]
    left = np.concatenate([np.arange(count, 0, -1) for count in steps])
    rows = rows.assign(
        reveal_order=rows["reveal_order"].str.partition("-")[0],
        **{LEFT: 2 ** np.log2(left).astype(int)},
    )
    confidence, hits = (np.concatenate(list(own)) for own in lists.values())
    return graded(rows, confidence, hits, TEXT, TEXT).sort_values(
        LEFT, kind="stable", ignore_index=True
    )


def _values(found: Any) -> np.ndarray:
    return np.array(json.loads(found) if isinstance(found, str) else found, dtype=float)


def _charted(name: str) -> Rows:
    """The rows of a chart: a table by name."""
    return lambda tables, frame: over(tables.get(name, pd.DataFrame()), "texts", "one text")


CHARTS = (
    calibration_report.calibration_chart(
        _charted("calibration"), MASKS_LEFT, panels=("reveal_order",), names=NAMES, counts=COUNTS
    ),
    calibration_report.reliability_chart(
        _charted("reliability"), panels=("reveal_order",), names=NAMES
    ),
)
