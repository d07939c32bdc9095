"""Trackio: a run of its own for each run folder; needs `pip install 'mdlm-probe[trackio]'`."""

from __future__ import annotations

import contextlib
import io
import itertools
import shlex
from collections.abc import Container, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import pandas as pd

from mdlm_probe.core.extras import library
from mdlm_probe.reports.exports import tracker_data as data
from mdlm_probe.reports.exports.exported_run import ExportedRun, ExportRequest


def send(runs: Sequence[ExportedRun], request: ExportRequest) -> list[str]:
    """Logs runs: run.json as configuration, tables, figures, and estimates as metrics of one step.

    It keeps them on this machine (TRACKIO_DIR), unless TRACKIO_SPACE_ID names a Space. Exporting
    again adds runs, and never rows to an earlier one: they are numbered, as NAME-2, where this
    machine has the name already.

    Raises:
        ProbeError: no such package, or it fails.
    """
    trackio = library("trackio", "this export")
    said = []
    for run in runs:
        name = data.named(run, request)
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # its own advertisements
                name = _new(name, _known(trackio, request.project))
                trackio.init(
                    project=request.project,
                    name=name,
                    group=data.group(run, request),
                    config=data.config(run),
                    embed=False,
                    auto_log_gpu=False,
                    auto_log_cpu=False,
                )
                own = data.logged(run, partial(_table, trackio), trackio.Image)
                trackio.log(data.estimates(run) | own)
                trackio.finish()
        # its own, the network's, and whatever lies below: none of it is a bug of ours to trace
        except Exception as error:
            raise data.unreached("trackio", error) from error
        said.append(f"trackio has {name}: trackio show --project {shlex.quote(request.project)}")
    return said


def _known(trackio: ModuleType, project: str) -> set[str]:
    """The names of a project's runs on this machine; none of a project that is new."""
    try:
        return {run.name for run in trackio.Api().runs(project)}
    except ValueError:
        return set()


def _new(name: str, known: Container[str]) -> str:
    """A name that isn't known yet: this one, or the first free number behind it."""
    names = (f"{name}-{n}" for n in itertools.count(2))
    return next(new for new in itertools.chain([name], names) if new not in known)


def _table(trackio: ModuleType, frame: pd.DataFrame) -> Any:
    heads = [str(column) for column in frame.columns]
    return trackio.Table(data=[dict(zip(heads, row, strict=True)) for row in data.records(frame)])
