"""Weights & Biases: a run there for each run folder; needs `pip install 'mdlm-probe[wandb]'`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from types import ModuleType
from typing import Any

import pandas as pd

from mdlm_probe.core.extras import library
from mdlm_probe.core.files import unusable
from mdlm_probe.reports.exports import tracker_data as data
from mdlm_probe.reports.exports.exported_run import ExportedRun, ExportRequest


def send(runs: Sequence[ExportedRun], request: ExportRequest) -> list[str]:
    """Logs runs: run.json as configuration, tables, figures, estimates as summary.

    WANDB_MODE=offline keeps them in the export's folder, for `wandb sync`.

    Raises:
        ProbeError: no such package, nobody is logged in, or the service can't be reached.
    """
    wandb = library("wandb", "this export")
    try:
        request.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(request.folder, error) from error
    said = []
    for run in runs:
        try:
            with wandb.init(
                project=request.project,
                entity=request.entity or None,
                name=data.named(run, request),
                group=data.group(run, request),
                job_type="mdlm-probe",
                config=data.config(run),
                dir=request.folder,
                settings=wandb.Settings(silent=True, console="off"),
            ) as tracked:
                tracked.log(data.logged(run, partial(_table, wandb), wandb.Image))
                tracked.summary.update(data.estimates(run))
                kept = shlex.quote(tracked.dir.removesuffix("/files"))
                place = f"offline; wandb sync {kept}" if tracked.offline else tracked.url
        # theirs, the network's, and whatever lies below: none of it is a bug of ours to trace
        except Exception as error:
            raise data.unreached("wandb", error) from error
        said.append(f"wandb has {data.named(run, request)}: {place}")
    return said


def _table(wandb: ModuleType, frame: pd.DataFrame) -> Any:
    return wandb.Table(columns=[str(column) for column in frame.columns], data=data.records(frame))
