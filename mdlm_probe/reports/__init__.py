"""Reports: one file per figure; frames in, table and figure out; never torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mdlm_probe import catalog
from mdlm_probe.errors import ProbeError
from mdlm_probe.reports import _frames
from mdlm_probe.reports._frames import Tables


@dataclass(frozen=True)
class Made:
    """What a report makes of a probe's rows.

    Attributes:
        frame: the rows, of all models.
        tables, figures: by name; the main figure's is "".
        printed: names of the tables that are printed: a report's `PRINTED`, or all.
    """

    frame: pd.DataFrame
    tables: Tables
    figures: dict[str, Figure]
    printed: tuple[str, ...]


def make(folder: Path) -> tuple[dict[str, Made], list[str]]:
    """Every table and figure of a run folder, by probe, from its CSVs alone.

    Returns:
        What was made, and what a reader should know: measurements that aren't finished.

    Raises:
        ProbeError: no run, or rows that a report can't read.
    """
    made = {}
    found, notes = _frames.frames(folder)
    for probe, frame in found.items():
        report = catalog.load("reports", probe)
        try:
            tables = report.tables(frame)
            figures = report.figures(frame, tables)
        except (KeyError, TypeError, ValueError) as error:
            raise ProbeError(
                f"the rows of '{probe}' in {folder} can't be read: {error!r}",
                expected="the columns that this version writes",
                hint="the same command with --fresh measures anew",
            ) from error
        made[probe] = Made(frame, tables, figures, getattr(report, "PRINTED", tuple(tables)))
    return made, notes


def save(folder: Path, made: dict[str, Made]) -> list[Path]:
    """Writes tables as CSV and figures as PNG and SVG into a run folder; returns the paths.

    Raises:
        ProbeError: the folder can't be written.
    """
    return [
        path
        for probe, one in made.items()
        for path in _frames.save(folder, probe, one.figures, one.tables)
    ]


def shown(made: dict[str, Made]) -> dict[str, Tables]:
    """The tables to print, by probe and name."""
    return {
        probe: {name: table for name, table in one.tables.items() if name in one.printed}
        for probe, one in made.items()
    }
