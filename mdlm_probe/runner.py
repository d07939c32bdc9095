"""The runner: pending cells through a probe into the sink, a group at a time."""

from __future__ import annotations

import inspect
import re
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from mdlm_probe import __version__, catalog, models, scorers, survey
from mdlm_probe.errors import ProbeError
from mdlm_probe.models._base import Entry, LoadOptions
from mdlm_probe.scorers import Shelf, free_memory, place, portable
from mdlm_probe.sink import Run, Sheet, differences, text_of

if TYPE_CHECKING:
    from mdlm_probe.engine import Engine
    from mdlm_probe.models._base import Model


GROUP = 4
"""Batches that a group of cells fills about: enough to sort prompts of different lengths into
batches without much padding, few enough that a crash costs seconds."""


WORK = 2**22
"""Tokens through the network that a group of cells takes at most, unless a cell takes more: minutes
at the size of 8B."""


OWN = {"suite", "needles", "prompts", "pairs"}
"""Options that bring material of the user's own, for which no checkpoint has defaults."""


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
    """

    probe: str
    model: str
    options: dict[str, Any] = field(default_factory=dict)
    load: LoadOptions = field(default_factory=LoadOptions)
    output: Path = Path("results")
    batch_tokens: int | None = None
    fresh: bool = False


@dataclass(frozen=True)
class Plan:
    """What a job would measure; made without loading anything.

    Attributes:
        name: PROBE__MODEL, the name of its CSV and of its entry in run.json.
        options: every option of the probe, resolved.
        cells: what will be measured, in order.
        refused: reasons why other cells can't be, with their number.
    """

    name: str
    job: Job
    probe: ModuleType
    entry: Entry
    options: dict[str, Any]
    cells: Sequence[Any]
    refused: dict[str, int]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the CSV: the model, the cell's coordinates, the probe's own."""
        return ("model", *(f.name for f in fields(self.probe.Cell)), *self.probe.COLUMNS)

    @property
    def config(self) -> dict[str, Any]:
        """What must be equal for rows to belong together."""
        load = asdict(self.job.load)
        load["revision"] = load["revision"] or self.entry.revision
        if load["rope_scale"] == 1:  # runs that began before there was a choice go on
            del load["rope_scale"]
        return {
            "probe": self.job.probe,
            "model": self.entry.name,
            "source": portable(place(self.entry.source)),
            "options": self.options,
            "sources": self.probe.sources(**self.options),
            "load": load,
        }


class Progress(Protocol):
    """What a front end may want to show while a job runs."""

    def note(self, text: str) -> None:
        """Something a person should know."""

    def start(self, name: str, cells: int, done: int) -> None:
        """A measurement begins, or goes on."""

    def advance(self, cells: int, tokens: int) -> None:
        """Tokens went through the network; a group of cells is safe on disk."""


def prepare_all(jobs: Sequence[Job]) -> tuple[list[Plan], list[str]]:
    """Plans jobs together; returns the plans, and why models that can't be asked are left out.

    Raises:
        ProbeError: as `prepare`, but for nothing to ask only if that goes for every model.
    """
    written: dict[str, Sequence[Any]] = {}
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


def prepare(
    job: Job, *, empty: bool = False, written: dict[str, Sequence[Any]] | None = None
) -> Plan:
    """Plans a job: its model's entry, its options and its cells.

    Args:
        job: what the user asked for.
        empty: whether a plan may have no cells.
        written: cells of the same probe by options, for jobs that share them; filled in.

    Raises:
        ProbeError: an unknown probe or model, bad options, or nothing that this model can be asked.
    """
    probe = catalog.load("probes", job.probe)
    entry = job.load.apply(models.resolve(job.model, job.load.revision))
    name = f"{job.probe}__{slug(entry.name)}"
    if entry.kind not in probe.KINDS:
        reason = f"probe '{job.probe}' is not for {entry.kind} models"
        if empty:
            return Plan(name, job, probe, entry, {}, [], {reason: 1})
        raise ProbeError(f"{reason} such as '{entry.name}'", expected=" or ".join(probe.KINDS))
    if getattr(probe, "GRADIENTS", False) and not entry.gradients:
        reason = f"probe '{job.probe}' needs gradients; '{entry.name}' is computed without them"
        if empty:
            return Plan(name, job, probe, entry, {}, [], {reason: 1})
        raise ProbeError(reason, expected="a checkpoint with weights")
    known = inspect.signature(probe.plan).parameters
    given = {name: value for name, value in job.options.items() if value is not None}
    # a checkpoint's defaults are made for the shipped suite, not for a user's own
    own = {} if OWN & given.keys() else entry.defaults_for(job.probe)
    suited = {name: value for name, value in own.items() if name in known}
    options = {name: p.default for name, p in known.items()} | suited | given
    scorers.scorer_of(options, entry)
    cells, refused, written = [], {}, {} if written is None else written
    if (same := f"{job.probe} {sorted(options.items())}") not in written:
        written[same] = probe.plan(**options)
    for cell in written[same]:
        if reason := probe.refuse(cell, entry):
            refused[reason] = refused.get(reason, 0) + 1
        else:
            cells.append(cell)
    if not cells and not empty:
        raise ProbeError(
            f"nothing to ask '{entry.name}': " + ("; ".join(refused) or "no cells"),
            expected="options that this kind of model can answer",
        )
    return Plan(name, job, probe, entry, options, cells, refused)


def slug(name: str) -> str:
    """A model's name as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name.strip("./~")).strip("-") or "model"


def finished(path: Path, known: dict[str, Any]) -> bool:
    """Whether a CSV is as its entry in run.json says that it was when it was finished."""
    return path.exists() and known.get("size") == path.stat().st_size


def run(plan: Plan, progress: Progress, shelf: Shelf | None = None) -> Path:
    """Measures what is still missing of a plan; returns the CSV.

    Args:
        plan: what to measure.
        progress: what a front end shows.
        shelf: loaded models, kept there for others; none: they are put away afterwards.

    Raises:
        ProbeError: whatever the user can mend; rows written before stay.
        KeyboardInterrupt: Ctrl-C; the same job goes on from the last whole group.
    """
    for reason, number in plan.refused.items():
        progress.note(f"{plan.entry.name}: {number} cells left out: {reason}")
    with Run.locked(plan.job.output, fresh=plan.job.fresh) as folder:
        path = folder.path(plan.name)
        known = folder.begin(plan.name, {"config": plan.config, "refused": plan.refused})
        if finished(path, known):
            progress.note(f"{path} is finished: nothing to do")
            return path
        try:
            _continue(plan, folder, known, progress, shelf or Shelf())
        finally:
            free_memory()
        folder.update(plan.name, status="finished", ended=now(), size=path.stat().st_size)
        return path


def _continue(
    plan: Plan, folder: Run, known: dict[str, Any], progress: Progress, shelf: Shelf
) -> None:
    from mdlm_probe import machine

    size = survey.cell_tokens(plan, shelf.border(plan.entry, plan.job.load))
    model, scorer = shelf.models(plan.options, plan.entry, plan.job.load, progress.note)
    same_weights(plan.entry.name, {"model": model, "scorer": scorer}, known)
    engine, group = _engine(plan, model, scorer, known, *size)
    session = {"started": now(), "version": __version__, "machine": machine.facts()}
    folder.update(
        plan.name,
        status="started",
        model=facts_of(model),
        **({"scorer": facts_of(scorer)} if scorer else {}),
        batch=_batch(engine, group),
        cells=len(plan.cells),
        sessions=[*known.get("sessions", []), session],
    )
    coordinates = attrgetter(*(f.name for f in fields(plan.probe.Cell)))
    names = [tuple(map(text_of, coordinates(cell))) for cell in plan.cells]
    sheet = Sheet(folder.path(plan.name), plan.columns, names, group)
    try:
        began, started_at = time.perf_counter(), sheet.done
        engine.watch = partial(progress.advance, 0)
        progress.start(plan.entry.name, len(plan.cells), sheet.done)
        for start in range(sheet.done, len(plan.cells), group):
            cells = plan.cells[start : start + group]
            before = len(engine.events), engine.budgets
            rows = [
                {"model": plan.entry.name} | _coordinates(cell) | row
                for cell, found in plan.probe.measure(engine, cells)
                for row in found
            ]
            with uninterrupted():
                sheet.append(rows, len(cells))
            if engine.budgets != before[1] or len(engine.events) > before[0]:
                events = [*known.get("events", []), *engine.events[before[0] :]]
                folder.update(plan.name, events=events, batch=_batch(engine, group))
            progress.advance(len(cells), 0)
        if sheet.done > started_at:
            progress.note(_timing(plan, engine, time.perf_counter() - began))
    finally:
        sheet.close(complete=sheet.done == len(plan.cells))


def _timing(plan: Plan, engine: Engine, seconds: float) -> str:
    """How long the measurement took, and the share of it that no forward pass accounts for."""
    outside = 1 - engine.busy / seconds
    return f"{plan.entry.name}: {seconds:.1f} s, {outside:.0%} of it outside forward passes"


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Lets a write finish before Ctrl-C takes effect."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    old = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)
    if came:
        raise KeyboardInterrupt


def _coordinates(cell: Any) -> dict[str, Any]:
    return {f.name: getattr(cell, f.name) for f in fields(cell)}


def facts_of(model: Model) -> dict[str, Any]:
    """What run.json says of a loaded model."""
    return portable(model.facts | {"entry": asdict(model.entry)})


def _batch(engine: Engine, group: int) -> dict[str, Any]:
    scorer = {"scorer": engine.scorer.batch_tokens} if engine.scorer else {}
    return {**engine.budgets, **scorer, "cells": group}


def same_weights(name: str, roles: dict[str, Model | None], known: dict[str, Any]) -> None:
    """Refuses to continue with other weights or files than a measurement began with.

    Args:
        name: the model's.
        roles: the models that take part, by what run.json calls them.
        known: the measurement's entry in run.json.
    """
    names = ("weight_hash", "dtype", "files")
    given = {role: model for role, model in roles.items() if model is not None}
    old = {role: {n: known[role].get(n) for n in names} for role in given if role in known}
    new = {role: {n: portable(given[role].facts.get(n)) for n in names} for role in old}
    if found := differences(old, new):
        raise ProbeError(
            f"'{name}' is not as it was when this run began:\n"
            + "\n".join(f"  {line}" for line in found),
            hint="--output DIR keeps both; --fresh starts over",
        )


def _engine(
    plan: Plan,
    model: Model,
    scorer: Model | None,
    known: dict[str, Any],
    length: float,
    passes: int,
) -> tuple[Engine, int]:
    """The engine, and how many cells make a group: a few batches, as when the run began.

    Groups are cut by the plan alone, so a resumed run sends the same batches through the network,
    unless the user now gives another --batch-tokens.
    """
    from mdlm_probe.engine import Engine

    batch = known.get("batch", {})
    tokens, gradients = plan.job.batch_tokens or batch.get("tokens"), batch.get("gradients")
    engine = Engine(model, batch_tokens=tokens, gradients=gradients, held=batch.get("held"))
    if scorer:
        engine.scorer = Engine(scorer, batch_tokens=batch.get("scorer"))
    # where every query takes many passes, one batch is work enough to lose, or more than enough
    at_once = min(max(1, GROUP / passes) * engine.batch_tokens, WORK / passes)
    fitting = at_once / (1.05 * length)
    return engine, batch.get("cells") or max(1, int(fitting))


def now() -> str:
    """The time as run.json has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
