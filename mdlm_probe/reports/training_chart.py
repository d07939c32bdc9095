"""The chart of a training: the loss and its parts over optimiser steps, from training.csv alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mdlm_probe.analysis.chart_data import of_report
from mdlm_probe.analysis.charts import Axis, Chart
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.reports import pictures

OTHERS = ("step", "rate", "tokens", "seconds")
NATS = {"loss": "loss", "ce": "cross-entropy (nats)", "ctc": "over all placements (nats)"}
NATS |= {"tv": "distance of both predictions"}
WINDOWS = 40
"""Means over a fortieth of the steps are drawn: single steps differ by their samples."""


def save(folder: Path, model: str) -> list[Path]:
    """Draws the chart into the folder of a training; returns the files.

    Args:
        folder: holds training.csv.
        model: its name.

    Raises:
        ProbeError: there is no such file, or the folder can't be written.
    """
    try:
        frame = pd.read_csv(folder / "training.csv")
    except (OSError, ValueError) as error:
        raise ProbeError(f"cannot read {folder / 'training.csv'}: {error}") from None
    data = of_report(chart(frame), {}, frame.assign(model=model))
    return pictures.save(folder, "training", {"": data}, [model]) if data else []


def chart(frame: pd.DataFrame) -> Chart:
    """The chart of such a file: a panel for the loss, and one for each of its parts."""
    parts = [str(name) for name in frame.columns if name not in OTHERS]
    return Chart(
        name="",
        title="Losses, means of stretches of steps",
        rows=lambda tables, rows: smoothed(rows, parts),
        kind="line",
        x=Axis("step", "optimiser step"),
        y=tuple(Axis(name, NATS.get(name, name)) for name in parts),
        counts=(),
    )


def smoothed(frame: pd.DataFrame, parts: list[str]) -> pd.DataFrame:
    """The means of the parts over stretches of steps, at the last step of each."""
    width = max(1, len(frame) // WINDOWS)
    ends = frame["step"].iloc[width - 1 :: width]
    means = frame[parts].rolling(width).mean().loc[ends.index]
    return means.assign(step=ends, model=frame["model"]).reset_index(drop=True)
