"""The rows of a run for those who go on with them in Python."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import probe_of, read_run
from mdlm_probe.reports.exports.exported_run import ExportedRun
from mdlm_probe.reports.exports.typed_rows import typed


def load_run(folder: str | Path) -> dict[str, pd.DataFrame]:
    """The rows of a run folder, of all models, by probe; verdicts are "judge".

    Of a probe with several kinds of observation, the main one has its name, others are PROBE-KIND.

    Columns have the types that the probe declares. Texts are what was written, an answer "007" or
    "NA" as any other, with line breaks and without the CSV's escapes; canvases are lists.

    Raises:
        ProbeError: no run there, or rows that can't be read.
    """
    path = Path(folder)
    run = ExportedRun("", path, read_run(path), {})
    known = (*catalog.names("probe"), catalog.JUDGE)
    probes = [probe_of(n, e) for n, e in run.entries.items() if (path / f"{n}.csv").exists()]
    found = {
        f"{probe}-{kind}" if place else probe: _frame(run, probe, kind)
        for probe in dict.fromkeys(probes)
        if probe in known
        for place, (kind, files) in enumerate(run.csvs(probe).items())
        if files
    }
    if not found:
        raise ProbeError(
            f"no rows in {path}",
            expected="a folder with a run.json, as `mdlm-probe PROBE --output FOLDER` writes it",
        )
    return found


def _frame(run: ExportedRun, probe: str, kind: str) -> pd.DataFrame:
    frame: pd.DataFrame = typed(run, probe, kind).to_pandas()
    for column in catalog.columns_of_type(probe, str) & set(frame):
        frame[column] = frame[column].fillna("")
    for column in catalog.columns_of_type(probe, list) & set(frame):
        frame[column] = [json.loads(text or "[]") for text in frame[column]]
    return frame
