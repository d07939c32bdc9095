"""The runner: pending cells through a probe into the CSV, one group at a time."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdlm_probe import __version__, models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import RunFolder, differences, read_run
from mdlm_probe.core.sheet import Sheet, text_of
from mdlm_probe.runs import loaded_models, survey
from mdlm_probe.runs.fitting import fit
from mdlm_probe.runs.loaded_models import LoadedModels, free_memory, portable
from mdlm_probe.runs.plan import Plan, Progress

if TYPE_CHECKING:
    from mdlm_probe.engine.engine import Engine
    from mdlm_probe.models._base import Model


GROUP = 4
"""Batches that a group of cells fills about: enough to sort prompts of different lengths into
batches without much padding, few enough that a crash costs seconds."""


WORK = 2**22
"""Tokens through the network that a group of cells takes at most, unless a cell takes more: minutes
at the size of 8B."""


def finished(path: Path, known: dict[str, Any]) -> bool:
    """Whether a CSV is as its entry in run.json says that it was when it was finished."""
    return path.exists() and known.get("size") == path.stat().st_size


def is_finished(plan: Plan) -> bool:
    """Whether a plan's rows are all there: then nothing of its model is needed."""
    known = {} if plan.job.fresh else read_run(plan.job.output).get(plan.name, {})
    return finished(plan.job.output / f"{plan.name}.csv", known)


def run(plan: Plan, progress: Progress, loaded: LoadedModels | None = None) -> Path:
    """Measures what is still missing of a plan; returns the CSV.

    Args:
        plan: what to measure.
        progress: what a front end shows.
        loaded: loaded models, kept there for others; none: they are put away afterwards.

    Raises:
        ProbeError: whatever the user can mend; rows written before stay.
        KeyboardInterrupt: Ctrl-C; the same job resumes after the last whole group.
    """
    _note_refused(plan, plan.refused, progress)
    with RunFolder.locked(plan.job.output, fresh=plan.job.fresh) as folder:
        path = folder.path(plan.name)
        known = folder.begin(plan.name, {"config": plan.config, "refused": plan.refused})
        if finished(path, known):
            progress.note(f"{path} is finished: nothing to do")
            return path
        try:
            _continue(plan, folder, known, progress, loaded or LoadedModels())
        finally:
            if loaded is None:
                free_memory()
        folder.update(plan.name, status="finished", ended=now(), size=path.stat().st_size)
        return path


def _continue(
    plan: Plan, folder: RunFolder, known: dict[str, Any], progress: Progress, loaded: LoadedModels
) -> None:
    from mdlm_probe.core import machine

    same_scorer(plan, known)
    border, refused = loaded.border(plan.entry, plan.job.load), plan.refused
    plan = fit(plan, border).plan
    _note_refused(plan, plan.refused.keys() - refused.keys(), progress)
    size = survey.cell_tokens(plan, border)
    model, scorer = loaded.models(plan.options, plan.entry, plan.job.load, progress.note)
    same_weights(plan.entry.name, {"model": model, "scorer": scorer}, known)
    engine, group = _engine(plan, model, scorer, known, *size)
    session = {"started": now(), "version": __version__, "machine": machine.facts()}
    folder.update(
        plan.name,
        status="started",
        model=facts_of(model),
        **({"scorer": _scorer_facts(scorer, plan)} if scorer else {}),
        batch=_batch(engine, group),
        cells=len(plan.cells),
        refused=plan.refused,
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


def _note_refused(plan: Plan, reasons: Iterable[str], progress: Progress) -> None:
    for reason in reasons:
        progress.note(f"{plan.entry.name}: {plan.refused[reason]} cells left out: {reason}")


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
    facts: dict[str, Any] = portable(model.facts | {"entry": asdict(model.entry)})
    return facts


def _scorer_facts(scorer: Model, plan: Plan) -> dict[str, Any]:
    """The same of a scorer; whether it is a relative of the model that it scores is said, too."""
    kin = models.relation(scorer.entry, plan.entry)
    return facts_of(scorer) | ({"relation": kin} if kin else {})


def _batch(engine: Engine, group: int) -> dict[str, Any]:
    scorer = {"scorer": engine.scorer.batch_tokens} if engine.scorer else {}
    return {**engine.budgets, **scorer, "cells": group}


def same_scorer(plan: Plan, known: dict[str, Any]) -> None:
    """Refuses to continue with another scorer than a measurement began with.

    Args:
        plan: what is measured.
        known: its entry in run.json.
    """
    old = known.get("scorer", {}).get("name")
    new = loaded_models.scorer_of(plan.options, plan.entry)
    if old and new and new.name != old:
        kin = models.relation(models.registry().get(old, plan.entry), plan.entry)
        raise ProbeError(
            f"the scorer of '{plan.entry.name}' was {old} when this run began"
            + (f", {kin};" if kin else ";")
            + f" its companion is {new.name} now",
            hint=f"--output DIR keeps both; --fresh starts over; --scorer {old} is a choice there",
        )


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
    from mdlm_probe.engine.engine import Engine

    batch = known.get("batch", {})
    tokens, gradients = plan.job.batch_tokens or batch.get("tokens"), batch.get("gradients")
    engine = Engine(
        model, batch_tokens=tokens, gradients=gradients, kv_cache_tokens=batch.get("held")
    )
    if scorer:
        engine.scorer = Engine(scorer, batch_tokens=batch.get("scorer"))
    # where every query takes many passes, one batch is work enough to lose, or more than enough
    at_once = min(max(1, GROUP / passes) * engine.batch_tokens, WORK / passes)
    fitting = at_once / (1.05 * length)
    return engine, batch.get("cells") or max(1, int(fitting))


def now() -> str:
    """The time as run.json has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
