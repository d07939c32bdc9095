"""Reports: one file per probe; frames in, tables and charts out; never torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mdlm_probe.analysis import frames
from mdlm_probe.analysis.chart_data import ChartData, of_report
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.observed import Observed, values
from mdlm_probe.core import catalog
from mdlm_probe.core.contract import value
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import probe_of, read_run, read_study, run_folders, training_of
from mdlm_probe.reports import pictures
from mdlm_probe.reports.masks_used import entries_of, masks_used
from mdlm_probe.reports.pictures import Style

Entries = dict[str, dict[str, Any]]
"""Measurements of a run folder, as run.json holds them."""
STEP = "step"
"""The column of tables that says after how many training steps a checkpoint was saved."""


@dataclass(frozen=True)
class ProbeReport:
    """What a report makes of a probe's rows.

    Attributes:
        frame: the rows, of all models; by kind of observation, where the probe has several.
        tables: by name.
        draw: makes the charts' data.
        printed: names of the tables that are printed: a report's `PRINTED`, or all.
        masks: how many masks were used, in words.
        models: all of the run folder, or of its study: each has the same colour in all charts.
        entries: of run.json, the measurements whose rows these are.
        steps: the training and the step of those models that are checkpoints of one.
    """

    frame: Observed
    tables: Tables
    draw: Callable[[], dict[str, ChartData]]
    printed: tuple[str, ...]
    masks: str = ""
    models: tuple[str, ...] = ()
    entries: Entries = field(default_factory=dict)
    steps: dict[str, tuple[str, int]] = field(default_factory=dict)

    @cached_property
    def charts(self) -> dict[str, ChartData]:
        """Those that there is something to see of, by name; the main one's is ""."""
        return self.draw()

    def pictures(self) -> dict[str, pictures.Picture]:
        """Its charts, drawn for a screen."""
        return {
            name: pictures.draw(data, self.models, self.masks) for name, data in self.charts.items()
        }


@frames.light_texts()
def make(
    folder: Path, models: Sequence[str] | None = None
) -> tuple[dict[str, ProbeReport], list[str]]:
    """Every table and chart of a run folder, by probe, from its CSVs alone.

    Args:
        folder: of the run.
        models: those of a page that it is a part of; None: its own, or its study's.

    Returns:
        What was made, and what a reader should know: measurements that aren't finished.

    Raises:
        ProbeError: no run, or rows that a report can't read.
    """
    found, notes, entries = frames.frames(folder, whole=False)
    known = models_of(folder) if models is None else tuple(models)
    made: dict[str, ProbeReport] = {}
    failed: list[ProbeError] = []
    for name, frame in found.items():
        try:
            own = {n: entry for n, entry in entries.items() if probe_of(n, entry) == name}
            one = _made(folder, name, frame, known, own, entries)
            assert one.charts is not None  # drawn here, so that what can't be is left out alone
            notes += _notes(name, frame)
            made[name] = one
        except ProbeError as error:
            failed.append(error)
            notes.append(f"{name} is left out: {error.found}")
    if failed and not made:
        raise failed[0]
    return made, notes


def _notes(probe: str, frame: Observed) -> list[str]:
    """What a reader should know of a probe's rows, as its report says."""
    said = value("report", catalog.load("report", probe), "notes")
    return [f"{probe}: {note}" for note in said(frame)] if said else []


def models_of(folder: Path) -> tuple[str, ...]:
    """All models of a folder, and of the study that it is a run of, in one order for all charts."""
    home = folder.resolve()
    if home.name in read_study(home.parent).get("runs", {}):
        home = home.parent
    names: list[str] = []
    for path in run_folders(home).values():
        with suppress(ProbeError):  # another run's damage is no matter of this one
            entries = read_run(path).values()
            names += [str(e["config"]["model"]) for e in entries if "model" in e.get("config", {})]
            # judges of models may be in a folder without their answers
            names += [str(name) for e in entries for name in e.get("compared", ())]
    return tuple(dict.fromkeys(names))


def _made(
    folder: Path,
    probe: str,
    frame: Observed,
    models: tuple[str, ...],
    own: Entries,
    entries: Entries,
) -> ProbeReport:
    report, declared = catalog.load("report", probe), catalog.charts(probe)

    def draw() -> dict[str, ChartData]:
        with _read(folder, probe):
            drawn = value("charts", declared, "CHARTS")
            found = {one.name: of_report(one, tables, frame) for one in drawn}
        return {name: data for name, data in found.items() if data}

    steps = _steps(frame, entries)
    with _read(folder, probe):
        tables = with_steps(report.tables(frame), steps)
    masks = masks_used(value("charts", declared, "MASKS"), entries_of(probe, entries))
    printed = value("report", report, "PRINTED") or tuple(tables)
    return ProbeReport(frame, tables, draw, printed, masks, models, own, steps)


def _steps(frame: Observed, entries: Entries) -> dict[str, tuple[str, int]]:
    """The training and the step of the models of some rows, as run.json has them."""
    known = {entry.get("config", {}).get("model"): training_of(entry) for entry in entries.values()}
    names = map(str, values(frame, "model"))
    return {name: found for name in names if (found := known.get(name))}


def with_steps(tables: Tables, steps: Mapping[str, tuple[str, int]]) -> Tables:
    """Tables with a column `step` behind the model, where models are checkpoints of a training."""
    if not steps:
        return tables
    return {name: _with_step(table, steps) for name, table in tables.items()}


def _with_step(table: pd.DataFrame, steps: Mapping[str, tuple[str, int]]) -> pd.DataFrame:
    if "model" not in table or STEP in table:
        return table
    known = [steps[str(name)][1] if str(name) in steps else None for name in table["model"]]
    column = pd.Series(known, table.index, dtype="Int64")
    out = table.copy()
    out.insert(list(out.columns).index("model") + 1, STEP, column)
    return out


@contextmanager
def _read(folder: Path, probe: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise ProbeError(
            f"the rows of '{probe}' in {folder} can't be read: {error!r}",
            expected="the columns that this version writes",
            hint="the same command with --fresh measures anew",
        ) from error


def save(folder: Path, made: dict[str, ProbeReport], style: Style = "screen") -> list[Path]:
    """Writes tables as CSV and charts as PNG, SVG and PDF into a run folder; returns the paths.

    Raises:
        ProbeError: the folder can't be written.
    """
    paths = []
    for probe, one in made.items():
        paths += pictures.save(folder, probe, one.charts, one.models, one.masks, style)
        paths += frames.save(folder, probe, one.tables)
    return paths


def shown(made: dict[str, ProbeReport]) -> dict[str, Tables]:
    """The tables to print, by probe and name."""
    return {
        probe: {name: table for name, table in one.tables.items() if name in one.printed}
        for probe, one in made.items()
    }
