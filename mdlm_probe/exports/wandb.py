"""Weights & Biases: a run there for each run folder; needs `pip install 'mdlm-probe[wandb]'`."""

from __future__ import annotations

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
from mdlm_probe.sink import unusable


def send(runs: Sequence[Run], wish: Wish) -> list[str]:
    """Logs runs: run.json as configuration, tables, figures, estimates as summary.

    WANDB_MODE=offline keeps them in the export's folder, for `wandb sync`.

    Raises:
        ProbeError: no such package, nobody is logged in, or the service can't be reached.
    """
    wandb = package("wandb")
    try:
        wish.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(wish.folder, error) from error
    said = []
    for run in runs:
        try:
            with wandb.init(
                project=wish.project,
                entity=wish.entity or None,
                name=named(run, wish),
                group=wish.name or run.folder.resolve().parent.name if run.name else None,
                job_type="mdlm-probe",
                config=config(run),
                dir=wish.folder,
                settings=wandb.Settings(silent=True, console="off"),
            ) as tracked:
                tracked.log(_logged(wandb, run))
                tracked.summary.update(estimates(run))
                kept = shlex.quote(tracked.dir.removesuffix("/files"))
                place = f"offline; wandb sync {kept}" if tracked.offline else tracked.url
        # theirs, the network's, and whatever lies below: none of it is a bug of ours to trace
        except Exception as error:
            raise unreached("wandb", error) from error
        said.append(f"wandb has {named(run, wish)}: {place}")
    return said


def _logged(wandb: ModuleType, run: Run) -> dict[str, Any]:
    """Tables and figures by name, as the package holds them."""
    found = {}
    for probe, one in run.made.items():
        for name, table in one.tables.items():
            if len(table):
                heads = [str(column) for column in table.columns]
                found[f"{probe}/{name}"] = wandb.Table(columns=heads, data=records(table))
        for name, figure in one.figures.items():
            found[f"{probe}/figure {name}".strip()] = wandb.Image(picture(figure))
    return found
