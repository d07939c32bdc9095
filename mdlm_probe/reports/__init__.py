"""Reports: one file per figure; frames in, table and figure out; never torch."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mdlm_probe import catalog
from mdlm_probe.errors import ProbeError
from mdlm_probe.reports import _frames


def write(
    folder: Path,
) -> tuple[dict[str, dict[str, pd.DataFrame]], list[Path], list[str]]:
    """Rebuilds every table and figure of a run folder from its CSVs alone.

    Returns:
        The tables to print by probe and name (a report's `PRINTED`, or all), the files written into
        the folder, and what a reader should know: measurements that aren't finished.

    Raises:
        ProbeError: no run, or rows that a report can't read.
    """
    shown, paths = {}, []
    found, notes = _frames.frames(folder)
    for probe, frame in found.items():
        report = catalog.load("reports", probe)
        try:
            tables = report.tables(frame)
            drawn = report.figures(frame, tables)
        except (KeyError, TypeError, ValueError) as error:
            raise ProbeError(
                f"the rows of '{probe}' in {folder} can't be read: {error!r}",
                expected="the columns that this version writes",
                hint="the same command with --fresh measures anew",
            ) from error
        paths += _frames.save(folder, probe, drawn, tables)
        printed = getattr(report, "PRINTED", tuple(tables))
        shown[probe] = {name: table for name, table in tables.items() if name in printed}
    return shown, paths, notes
