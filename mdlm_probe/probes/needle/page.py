"""Needle on the page: heat maps of depth and length, exact match and gain."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.probes.needle import report
from mdlm_probe.probes.needle.probe import ABSENT

READ = (
    "The start of the text is on top; the question stands at its end. Rows named absent are the"
    " same texts without the fact: what a model guesses. The gain is what the fact adds to the"
    " answer's log-probability; where it is 0, the model doesn't read it."
)
TASK = ""
MASKS = "as many as the answer has tokens, none after them"


def _grid(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The grid, its depths as text in the order of the picture, from below."""
    table = tables["grid"]
    place = table["depth"].where(table["depth"] != ABSENT, 101)
    rows = table.assign(place=place).sort_values(
        "place", ascending=False, kind="stable", ignore_index=True
    )
    depth = rows["depth"].map(lambda d: "absent" if d == ABSENT else f"{d:g}")
    return rows.assign(depth=depth)


def _gain(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    table = _grid(tables, frame)
    return table.dropna(subset=["gain"]) if "gain" in table else pd.DataFrame()


ACROSS, UP = Axis("length", "context (tokens)"), Axis("depth", "depth of the fact (%)")
CHARTS = (
    Chart(
        "exact",
        "Exact match by depth and length",
        _grid,
        "heat",
        ACROSS,
        UP,
        fill=Axis("exact", "exact match (%)", 100, ends="exact"),
        panels=("model",),
        names=(("n", "needles"),),
        ends=(0, 100),
    ),
    Chart(
        "gain",
        "What the fact adds to the answer's log-probability",
        _gain,
        "heat",
        ACROSS,
        UP,
        fill=Axis("gain", "gained by the fact (nats)", ends="gain"),
        panels=("model",),
        names=(("n", "needles"),),
        scheme="brownbluegreen",
        centred=report.LEAST,
    ),
)
