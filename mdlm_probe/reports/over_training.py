"""Figures over a training: headlines of checkpoints against the steps that they were saved at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from mdlm_probe.analysis import headlines
from mdlm_probe.analysis.chart_data import ChartData, of_report
from mdlm_probe.analysis.charts import Axis, Chart, at
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.headlines import Headline, HeadlineValue
from mdlm_probe.core.files import write_whole
from mdlm_probe.reports import pictures
from mdlm_probe.reports.pictures import Style
from mdlm_probe.reports.probe_report import ProbeReport

NAME = "training-steps"
"""How the files of these charts begin."""
READ = (
    "Each line is a training, its points the checkpoints at the steps that they were saved at;"
    " between them nothing was measured. Bands are 95 % intervals of each checkpoint by itself:"
    " checkpoints answer the same items, so that two may differ although their bands overlap, which"
    " mdlm-probe compare tests."
)
COLUMNS = (
    *("training", "step", "model", "probe", "figure", "unit"),
    *("value", "value_low", "value_high", "n", "units", "setting"),
)


@dataclass(frozen=True)
class Point:
    """A headline of a checkpoint.

    Attributes:
        training: the path of its training.
        step: of the optimiser, at which it was saved.
        run: the name of its run within a study; "" outside.
        probe, headline: what is shown.
        value: of the checkpoint.
    """

    training: str
    step: int
    run: str
    probe: str
    headline: Headline
    value: HeadlineValue

    @property
    def figure(self) -> str:
        """What has a chart of its own: a headline, of a run where that has another name."""
        name = self.headline.name
        return name if self.run in ("", self.probe) else f"{name} ({self.run})"


@dataclass(frozen=True)
class OverTraining:
    """Charts of headlines against the step.

    Attributes:
        table: a row for each point, with `COLUMNS`.
        charts: by what their files' names end in.
    """

    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    charts: dict[str, Chart] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.charts)

    @property
    def tables(self) -> Tables:
        """What the charts are made of."""
        return {NAME: self.table}

    def data(self) -> dict[str, ChartData]:
        """The charts with their rows."""
        found = {name: of_report(one, self.tables, self.table) for name, one in self.charts.items()}
        return {name: data for name, data in found.items() if data}


def of_reports(made: Mapping[str, Mapping[str, ProbeReport]]) -> OverTraining:
    """Charts of a page's headlines.

    Args:
        made: what reports made of runs, by the run's name and the probe's.
    """
    return over_training(
        Point(training, step, run, probe, headline, value)
        for run, reports in made.items()
        for probe, one in reports.items()
        for headline in headlines.declared(probe)
        for value in headlines.values(headline, one.tables, one.frame, list(one.steps))
        for training, step in [one.steps[value.model]]
    )


def over_training(points: Iterable[Point]) -> OverTraining:
    """Charts of the figures that are known at two steps of a training or more.

    Where checkpoints are of the same step, as the last one and a copy of it, the first is shown.
    """
    firsts: dict[tuple[str, str, int], Point] = {}
    for point in points:
        if point.value.known:
            firsts.setdefault((point.figure, point.training, point.step), point)
    known = list(firsts.values())
    labels = training_names(point.training for point in known)
    rows = [_row(point, labels[point.training]) for point in known]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    # categories: each training has one colour in all charts
    table["training"] = pd.Categorical(table["training"], list(dict.fromkeys(labels.values())))
    table = table.sort_values(["training", "step"], kind="stable", ignore_index=True)
    charts = {}
    for figure in dict.fromkeys(point.figure for point in known):
        own = [point for point in known if point.figure == figure]
        if len(own) > len({point.training for point in own}):
            charts[_slug(figure)] = _chart(own)
    return OverTraining(table, charts)


def _row(point: Point, training: str) -> tuple[Any, ...]:
    one = point.value
    said = (training, point.step, one.model, point.probe, point.figure, point.headline.unit)
    return (*said, one.value, one.low, one.high, one.n, one.units, one.setting)


def _chart(points: Sequence[Point]) -> Chart:
    """The chart of one figure."""
    headline, figure = points[0].headline, points[0].figure
    units = list(dict.fromkeys(point.value.units for point in points))
    settings = list(dict.fromkeys(point.value.setting for point in points))
    name, unit = headline.name, headline.unit

    def rows(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
        table = tables[NAME]
        return table[table["figure"] == figure]

    return Chart(
        name=_slug(figure),
        title=f"{figure[:1].upper()}{figure[1:]} over training",
        rows=rows,
        kind="line",
        x=Axis("step", "training step"),
        y=Axis("value", f"{name} ({unit})" if unit else name, ends="value"),
        colour="training",
        counts=(("n", " or ".join(units)),),
        more=("model", "setting"),
        over=" or ".join(units),
        layers=() if headline.none is None else (at("", value=headline.none),),
        note=settings[0] if len(settings) == 1 else "",
    )


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")


def training_names(trainings: Iterable[str]) -> dict[str, str]:
    """Trainings by their paths: as much of the ends of these as tells them apart."""
    paths = dict.fromkeys(trainings)
    parts = {path: PurePosixPath(path.replace("\\", "/")).parts for path in paths}
    for many in range(1, max(map(len, parts.values()), default=1) + 1):
        names = {path: "/".join(own[-many:]).lstrip("/") for path, own in parts.items()}
        if len(set(names.values())) == len(names):
            return names
    return {path: path for path in paths}


# ---------------------------------------------------------------------- files


def save(
    folder: Path, found: OverTraining, style: Style = "screen", stem: str = NAME
) -> list[Path]:
    """Writes the table as CSV, and each chart as PNG, SVG and PDF; returns the paths.

    Args:
        folder: where to.
        found: what is written.
        style: of the pictures.
        stem: how the files' names begin.

    Raises:
        ProbeError: the folder can't be written.
    """
    path = folder / f"{stem}.csv"
    write_whole(path, found.table.to_csv(index=False, float_format="%.6g"))
    return [*pictures.save(folder, stem, found.data(), (), "", style), path]
