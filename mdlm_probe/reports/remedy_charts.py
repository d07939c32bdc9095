"""Charts of a study's tunings: what each changed, and how the losses fell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from mdlm_probe.analysis.chart_data import of_report
from mdlm_probe.analysis.charts import MEASURE, Axis, Chart, at
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.reports import pictures, training_chart
from mdlm_probe.reports.compare.forest import SURE
from mdlm_probe.reports.pictures import Style

NAME = "remedies"
READ = (
    "Differences are after minus before, over the same items, with 95 % intervals; effect"
    " says whether a certain one is better, where that is known. p_holm is corrected over all lines"
    " of all tunings: of whole sweeps, and of points."
)


def _changes(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The lines over whole sweeps of the first measure of each kind of rows; the table has all."""
    lines = tables.get("changes", pd.DataFrame())
    if not len(lines):
        return lines
    own = lines[lines["at"] == "all"].drop_duplicates(["remedy", "probe", "what"])
    labels = [
        f"{probe}{f' ({what})' if what else ''}: {measure}"
        for probe, what, measure in zip(own["probe"], own["what"], own["measure"], strict=True)
    ]
    return own.assign(**{MEASURE: labels}, sure=own["p_holm"].astype(float) < SURE)


def _losses(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """Means over stretches of each training, and its objective."""
    losses = tables.get("losses", pd.DataFrame())
    if not len(losses):
        return losses
    objectives = tables["arms"].set_index("name")["objective"]
    found = training_chart.smoothed(losses, ["loss"], "remedy")
    return found.assign(objective=found["remedy"].map(objectives))


CHARTS = (
    Chart(
        "",
        "What each tuning changed: the main measures",
        _changes,
        "interval",
        Axis("difference", "after minus before", ends="difference"),
        Axis("remedy", ""),
        colour="",
        filled="sure",
        panels=(MEASURE,),
        names=(("sure", f"filled: p < {SURE:g} after Holm's correction"),),
        counts=(("n", "items"), ("clusters", "clusters of them")),
        over="items, or clusters of them",
        layers=(at("", difference=0.0),),
    ),
    replace(
        training_chart.chart(_losses, Axis("loss", "loss of the objective", scale="log"), "remedy"),
        name="losses",
        title="How the losses fell",
        panels=("objective",),
        note="objectives have losses of their own: compare each with itself",
    ),
)


def save(folder: Path, tables: Tables, style: Style) -> list[Path]:
    """Writes the pictures; returns the paths.

    Raises:
        ProbeError: the folder can't be written.
    """
    charts = {chart.name: of_report(chart, tables, pd.DataFrame()) for chart in CHARTS}
    drawn = {name: data for name, data in charts.items() if data}
    paths = []
    for stem, (name, inches) in pictures.stems(NAME, list(drawn), style).items():
        paths += pictures.write(folder, stem, pictures.draw(drawn[name], (), inches=inches))
    return paths
