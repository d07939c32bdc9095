"""Reports: one file per figure; frames in, table and figure out; never torch."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mdlm_probe import catalog
from mdlm_probe.reports import _frames


def write(folder: Path) -> tuple[dict[str, dict[str, pd.DataFrame]], list[Path]]:
    """Rebuilds every table and figure of a run folder from its CSVs alone.

    Returns:
        The tables by probe and name, and the files written into the folder.
    """
    shown, paths = {}, []
    for probe, frame in _frames.frames(folder).items():
        report = catalog.load("reports", probe)
        shown[probe] = report.tables(frame)
        paths += _frames.save(folder, probe, report.figure(frame), shown[probe])
    return shown, paths
