"""The chart of trainings: the loss and its parts over optimiser steps, from training.csv alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mdlm_probe.analysis.chart_data import of_report
from mdlm_probe.analysis.charts import Axis, Chart, Rows
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.reports import pictures

OTHERS = ("step", "rate", "trained_tokens", "seconds")
NATS = {"loss": "loss", "ce": "cross-entropy (nats)", "ctc": "over all placements (nats)"}
NATS |= {"l1": "distance of both predictions"}
WINDOWS = 20
"""Means over a twentieth of the steps are drawn: single steps differ by their samples."""


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
    parts = [str(name) for name in frame.columns if name not in OTHERS]
    axes = tuple(Axis(name, NATS.get(name, name)) for name in parts)
    made = chart(lambda tables, rows: smoothed(rows, parts), axes)
    data = of_report(made, {}, frame.assign(model=model))
    return pictures.save(folder, "training", {"": data}, [model]) if data else []


def chart(rows: Rows, axes: Axis | tuple[Axis, ...], by: str = "model") -> Chart:
    """The chart of one training or several.

    Args:
        rows: makes the table of it, which is `smoothed`.
        axes: of the losses.
        by: the column that tells trainings apart.
    """
    return Chart(
        name="",
        title="Losses, means of stretches of steps",
        rows=rows,
        kind="line",
        x=Axis("step", "optimiser step"),
        y=axes,
        colour=by,
        counts=(),
    )


def smoothed(frame: pd.DataFrame, parts: list[str], by: str = "model") -> pd.DataFrame:
    """Each training's means of the parts over stretches of steps, at the last step of each."""
    found = []
    for name, own in frame.groupby(by, sort=False):
        width = max(1, len(own) // WINDOWS)
        ends = own["step"].iloc[width - 1 :: width]
        means = own[parts].rolling(width).mean().loc[ends.index]
        found.append(means.assign(step=ends, **{by: name}))
    return pd.concat(found, ignore_index=True)
