"""Weights & Biases: a run there for each run folder; needs `pip install 'mdlm-probe[wandb]'`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from types import ModuleType
from typing import Any

import pandas as pd

from mdlm_probe.core.files import unusable
from mdlm_probe.reports.exports.exported_run import ExportedRun, ExportRequest
from mdlm_probe.reports.exports.tracker_data import (
    config,
    estimates,
    logged,
    named,
    package,
    records,
    unreached,
)


def send(runs: Sequence[ExportedRun], request: ExportRequest) -> list[str]:
    """Logs runs: run.json as configuration, tables, figures, estimates as summary.

    WANDB_MODE=offline keeps them in the export's folder, for `wandb sync`.

    Raises:
        ProbeError: no such package, nobody is logged in, or the service can't be reached.
    """
    wandb = package("wandb")
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
                name=named(run, request),
                group=request.name or run.folder.resolve().parent.name if run.name else None,
                job_type="mdlm-probe",
                config=config(run),
                dir=request.folder,
                settings=wandb.Settings(silent=True, console="off"),
            ) as tracked:
                tracked.log(logged(run, partial(_table, wandb), wandb.Image))
                tracked.summary.update(estimates(run))
                kept = shlex.quote(tracked.dir.removesuffix("/files"))
                place = f"offline; wandb sync {kept}" if tracked.offline else tracked.url
        # theirs, the network's, and whatever lies below: none of it is a bug of ours to trace
        except Exception as error:
            raise unreached("wandb", error) from error
        said.append(f"wandb has {named(run, request)}: {place}")
    return said


def _table(wandb: ModuleType, frame: pd.DataFrame) -> Any:
    return wandb.Table(columns=[str(column) for column in frame.columns], data=records(frame))
