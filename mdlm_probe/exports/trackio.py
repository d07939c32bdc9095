"""Trackio: a run of its own for each run folder; needs `pip install 'mdlm-probe[trackio]'`."""

from __future__ import annotations

import contextlib
import io
import shlex
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from mdlm_probe.exports._base import Run, Wish
from mdlm_probe.exports._tracking import (
    config,
    estimates,
    named,
    package,
    picture,
    records,
    unreached,
)


def send(runs: Sequence[Run], wish: Wish) -> list[str]:
    """Logs runs: run.json as configuration, tables, figures, and estimates as metrics of one step.

    It keeps them on this machine (TRACKIO_DIR), unless TRACKIO_SPACE_ID names a Space.

    Raises:
        ProbeError: no such package, or it fails.
    """
    trackio = package("trackio")
    said = []
    for run in runs:
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # its own advertisements
                trackio.init(
                    project=wish.project,
                    name=named(run, wish),
                    group=wish.name or run.folder.resolve().parent.name if run.name else None,
                    config=config(run),
                    embed=False,
                    auto_log_gpu=False,
                    auto_log_cpu=False,
                )
                trackio.log(estimates(run) | _logged(trackio, run))
                trackio.finish()
        # its own, the network's, and whatever lies below: none of it is a bug of ours to trace
        except Exception as error:
            raise unreached("trackio", error) from error
        said.append(
            f"trackio has {named(run, wish)}: trackio show --project {shlex.quote(wish.project)}"
        )
    return said


def _logged(trackio: ModuleType, run: Run) -> dict[str, Any]:
    """Tables and figures by name, as the package holds them."""
    found = {}
    for probe, one in run.made.items():
        for name, table in one.tables.items():
            if len(table):
                heads = [str(column) for column in table.columns]
                rows = [dict(zip(heads, row, strict=True)) for row in records(table)]
                found[f"{probe}/{name}"] = trackio.Table(data=rows)
        for name, figure in one.figures.items():
            found[f"{probe}/figure {name}".strip()] = trackio.Image(picture(figure))
    return found
