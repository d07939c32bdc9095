"""Plans: a job's cells, options and columns, decided before any weights are loaded."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from mdlm_probe import models
from mdlm_probe.core import catalog, columns
from mdlm_probe.core.cell_ranges import Cells, CellSequence, listed
from mdlm_probe.core.contract import value
from mdlm_probe.core.errors import ProbeError, options_of
from mdlm_probe.core.options import recorded, traits_of
from mdlm_probe.decoding import presets
from mdlm_probe.models._checkpoint import Checkpoint, LoadOptions
from mdlm_probe.runs import loaded_models
from mdlm_probe.runs.loaded_models import place, portable
from mdlm_probe.runs.shards import Shard


@dataclass(frozen=True)
class Job:
    """One probe on one model.

    Attributes:
        probe: name of the probe.
        model: registry name, folder or hub id.
        options: the probe's options that the user gave; others get the model's or probe's default.
        load: how to load the model.
        output: the run folder.
        batch_tokens: padded tokens of a batch; None finds it.
        fresh: forget what the folder holds of this job.
        shard: the part of its cells that is measured; None: all.
    """

    probe: str
    model: str
    options: dict[str, Any] = field(default_factory=dict)
    load: LoadOptions = field(default_factory=LoadOptions)
    output: Path = Path("results")
    batch_tokens: int | None = None
    fresh: bool = False
    shard: Shard | None = None


@dataclass(frozen=True)
class Plan:
    """What a job would measure; made without loading anything.

    Attributes:
        name: PROBE__MODEL, the name of its main CSV and of its entry in run.json.
        options: every option of the probe, resolved.
        cells: what will be measured, in order.
        refused: reasons why other cells can't be, with their number.
    """

    name: str
    job: Job
    probe: ModuleType
    entry: Checkpoint
    options: dict[str, Any]
    cells: CellSequence[Any]
    refused: dict[str, int]

    @property
    def files(self) -> dict[Path, tuple[str, ...]]:
        """The columns of each CSV by its path, the main one first.

        These are the model, the cell's coordinates, those of the kind of rows, and the run; columns
        in which this run could hold nothing are left out.
        """
        paths = catalog.csv_names(self.job.probe, self.name).values()
        kinds = catalog.observations_of(self.probe)
        unwritten = value("probe", self.probe, "unwritten")
        left = unwritten(self.options, self.entry) if unwritten else ()
        return {
            self.job.output / path: tuple(n for n in columns.names(kind.columns) if n not in left)
            for path, kind in zip(paths, kinds, strict=True)
        }

    @property
    def config(self) -> dict[str, Any]:
        """What must be equal for rows to belong together."""
        load = self.job.load.recorded()
        load["revision"] = load["revision"] or self.entry.revision
        if load["rope_scale"] == 1:  # runs that began before there was a choice resume
            del load["rope_scale"]
        return {
            "probe": self.job.probe,
            "model": self.entry.name,
            "source": portable(place(self.entry.source)),
            "options": recorded(self.probe.plan, self.options),
            "sources": self.probe.sources(**self.options),
            "load": load,
            **({"shard": str(self.job.shard)} if self.job.shard else {}),
        }


class Progress(Protocol):
    """What a front end may want to show while a job runs."""

    def note(self, text: str) -> None:
        """Something a person should know."""

    def start(self, name: str, cells: int, done: int) -> None:
        """A measurement begins, or resumes."""

    def advance(self, cells: int, tokens: int) -> None:
        """Tokens went through the network; a group of cells is safe on disk."""


def prepare_all(jobs: Sequence[Job]) -> tuple[list[Plan], list[str]]:
    """Plans jobs together; returns the plans, and why models that can't be asked are left out.

    Raises:
        ProbeError: as `prepare`; that there is nothing to ask, only if that is so of every model.
    """
    written: dict[str, Cells[Any]] = {}
    plans = [prepare(job, empty=len(jobs) > 1, written=written) for job in jobs]
    named = {plan.name: plan for plan in plans}
    for plan in plans:
        if named[plan.name] is not plan:
            both = f"{plan.entry.source} and {named[plan.name].entry.source}"
            raise ProbeError(
                f"{both} would both be called '{plan.entry.name}'",
                expected="models of different names in one run",
                hint="give each its own command and --output",
            )
    asked = [plan for plan in plans if plan.cells]
    if not asked:
        prepare(jobs[0])
    left = [p for p in plans if not p.cells]
    return asked, [f"{p.entry.name} left out: {'; '.join(p.refused)}" for p in left]


def prepare(job: Job, *, empty: bool = False, written: dict[str, Cells[Any]] | None = None) -> Plan:
    """Plans a job: its model's entry, its options and its cells.

    Args:
        job: what the user asked for.
        empty: whether a plan may have no cells.
        written: cells of the same probe by options, for jobs that share them; filled in.

    Raises:
        ProbeError: an unknown probe or model, bad options, or nothing that this model can be asked.
    """
    probe = catalog.load("probe", job.probe)
    entry = models.entry_for(job.model, job.load)
    name = f"{job.probe}__{slug(entry.name)}"
    if entry.kind not in probe.KINDS:
        reason = f"probe '{job.probe}' is not for {entry.kind} models"
        if empty:
            return Plan(name, job, probe, entry, {}, Cells(), {reason: 1})
        raise ProbeError(f"{reason} such as '{entry.name}'", expected=" or ".join(probe.KINDS))
    if value("probe", probe, "GRADIENTS") and not entry.gradients:
        reason = f"probe '{job.probe}' needs gradients; '{entry.name}' is computed without them"
        if empty:
            return Plan(name, job, probe, entry, {}, Cells(), {reason: 1})
        raise ProbeError(reason, expected="a checkpoint with weights")
    known = inspect.signature(probe.plan).parameters
    given = {name: value for name, value in job.options.items() if value is not None}
    traits = traits_of(probe.plan)
    # a checkpoint's defaults are made for the shipped suite, not for a user's own
    brought = any(traits[name].material for name in given if name in traits)
    own = {} if brought else entry.defaults_for(job.probe)
    suits = value("probe", probe, "suited")
    own = (suits(entry) if suits else {}) | own
    suited = {name: value for name, value in own.items() if name in known}
    usual = {name: p.default for name, p in known.items()}
    set_by = presets.options_for(entry, usual, suited | given)
    options = usual | suited | given | set_by
    loaded_models.scorer_of(options, entry)
    written = {} if written is None else written
    if (same := f"{job.probe} {sorted(options.items())}") not in written:
        written[same] = listed(probe.Cell, probe.plan(**options))
    cells, refused = written[same].without(lambda cell: probe.refuse(cell, entry))
    if not cells and not empty:
        raise ProbeError(
            f"nothing to ask '{entry.name}': " + ("; ".join(refused) or "no cells"),
            expected="options that this kind of model can answer",
            option=options_of(refused),
        )
    return Plan(name, job, probe, entry, options, cells, refused)


def slug(name: str) -> str:
    """A model's name as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name.strip("./~")).strip("-") or "model"
