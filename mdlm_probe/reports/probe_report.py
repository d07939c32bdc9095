"""Reports: one file per figure; frames in, table and figure out; never torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mdlm_probe.analysis import frames
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError


@dataclass(frozen=True)
class ProbeReport:
    """What a report makes of a probe's rows.

    Attributes:
        frame: the rows, of all models.
        tables: by name.
        draw: makes the figures.
        printed: names of the tables that are printed: a report's `PRINTED`, or all.
    """

    frame: pd.DataFrame
    tables: Tables
    draw: Callable[[], dict[str, Figure]]
    printed: tuple[str, ...]

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """By name, the main one's is "". Drawn when first asked for: that takes seconds."""
        return self.draw()


def make(folder: Path) -> tuple[dict[str, ProbeReport], list[str]]:
    """Every table and figure of a run folder, by probe, from its CSVs alone.

    Returns:
        What was made, and what a reader should know: measurements that aren't finished.

    Raises:
        ProbeError: no run, or rows that a report can't read.
    """
    found, notes = frames.frames(folder)
    return {name: _made(folder, name, frame) for name, frame in found.items()}, notes


def _made(folder: Path, probe: str, frame: pd.DataFrame) -> ProbeReport:
    report = catalog.load("report", probe)

    def draw() -> dict[str, Figure]:
        with _read(folder, probe):
            return report.figures(frame, tables)

    with _read(folder, probe):
        tables = report.tables(frame)
    return ProbeReport(frame, tables, draw, getattr(report, "PRINTED", tuple(tables)))


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


def save(folder: Path, made: dict[str, ProbeReport]) -> list[Path]:
    """Writes tables as CSV and figures as PNG and SVG into a run folder; returns the paths.

    Raises:
        ProbeError: the folder can't be written.
    """
    return [
        path
        for probe, one in made.items()
        for path in frames.save(folder, probe, one.figures, one.tables)
    ]


def shown(made: dict[str, ProbeReport]) -> dict[str, Tables]:
    """The tables to print, by probe and name."""
    return {
        probe: {name: table for name, table in one.tables.items() if name in one.printed}
        for probe, one in made.items()
    }
