"""The runner: pending cells through a probe into the CSV, one group at a time."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdlm_probe import models
from mdlm_probe.core import catalog
from mdlm_probe.core.contract import value
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import RunFolder, differences, read_run
from mdlm_probe.core.seal import seal_path
from mdlm_probe.core.sheet import CellNames, Sheet
from mdlm_probe.core.version import __version__
from mdlm_probe.decoding.schedule import kept
from mdlm_probe.runs import executors, loaded_models, run_id, survey
from mdlm_probe.runs.executors.contract import EngineRequest, Executor, Session
from mdlm_probe.runs.fitting import fit
from mdlm_probe.runs.plan import Plan, Progress
from mdlm_probe.runs.shards import ShardCells

if TYPE_CHECKING:
    from mdlm_probe.engine.engine import Engine
    from mdlm_probe.models._border import Border


GROUP = 4
"""Batches that a group of cells fills about: enough to sort prompts of different lengths into
batches without much padding, few enough that a crash costs seconds."""


WORK = 2**22
"""Tokens through the network that a group of cells takes at most, unless a cell takes more: minutes
at the size of 8B."""


def finished(plan: Plan, known: dict[str, Any]) -> bool:
    """Whether a plan's CSVs are as its entry in run.json says that they were when finished."""
    there = next(iter(plan.files)).exists()
    found = sizes(plan.job.probe, plan.name, plan.job.output) if there else {}
    return there and all(known.get(name) == size for name, size in found.items())


def sizes(probe: str, name: str, folder: Path) -> dict[str, Any]:
    """What run.json says of a finished run's files: bytes of the main one, of others by kind.

    Others that aren't there are of kinds that a probe has now, and had not when the run finished.
    """
    (_, main), *others = [
        (kind, folder / file) for kind, file in catalog.csv_names(probe, name).items()
    ]
    known = {kind: path.stat().st_size for kind, path in others if path.exists()}
    return {"size": main.stat().st_size, **({"sizes": known} if known else {})}


def is_finished(plan: Plan) -> bool:
    """Whether a plan's rows are all there: then nothing of its model is needed."""
    known = {} if plan.job.fresh else read_run(plan.job.output).get(plan.name, {})
    return finished(plan, known)


def run(plan: Plan, progress: Progress, executor: Executor | None = None) -> Path:
    """Measures what is still missing of a plan; returns the main CSV.

    Args:
        plan: what to measure.
        progress: what a front end shows.
        executor: who measures, and keeps the models for others; none: this process, which puts
            them away afterwards.

    Raises:
        ProbeError: whatever the user can mend; rows written before stay.
        KeyboardInterrupt: Ctrl-C; the same job resumes after the last whole group.
    """
    _note_refused(plan, plan.refused, progress)
    with RunFolder.locked(plan.job.output, plan.name, fresh=plan.job.fresh) as folder:
        path, *others = plan.files
        entry = {"config": plan.config, "refused": plan.refused}
        known = folder.begin(plan.name, entry, path, others)
        if finished(plan, known):
            progress.note(f"{path} is finished: nothing to do")
        else:
            with executors.lent(executor) as lent:
                _continue(plan, folder, known, progress, lent)
            written = sizes(plan.job.probe, plan.name, plan.job.output)
            folder.update(plan.name, status="finished", ended=now(), **written)
        if not plan.job.shard:  # what a shard's groups are is asked once more, by `merging`
            seal_path(path).unlink(missing_ok=True)
        return path


def _continue(
    plan: Plan, folder: RunFolder, known: dict[str, Any], progress: Progress, executor: Executor
) -> None:
    same_scorer(plan, known)
    border, refused = executor.border(plan.entry, plan.job.load), plan.refused
    plan = fit(plan, border).plan
    _note_refused(plan, plan.refused.keys() - refused.keys(), progress)
    session, group = _session(plan, border, known, progress, executor)
    own = run_id.run_id(plan.config, session.facts)
    told: dict[str, Any] = {"run": run_id.same_run(plan.entry.name, own, known)}
    if plan.job.shard:
        told["whole"] = len(plan.cells)
        plan = replace(plan, cells=ShardCells(plan.cells, plan.job.shard, group))
    sheet = Sheet(plan.files, CellNames(plan.cells), group)
    try:
        folder.update(
            plan.name,
            status="started",
            **told,
            **_training(plan),
            **kept(plan.options, plan.entry),
            **session.facts,
            batch={**session.batch, "cells": group},
            cells=len(plan.cells),
            refused=plan.refused,
            sessions=[*known.get("sessions", []), session_facts(session)],
        )
        _measure(plan, folder, progress, session, sheet, group)
    finally:
        sheet.close()


def _training(plan: Plan) -> dict[str, Any]:
    """What run.json says of the training that a checkpoint is of, where its folder tells."""
    found = models.training_step(plan.entry.source)
    return {"training": loaded_models.portable(asdict(found))} if found else {}


def _session(
    plan: Plan, border: Border, known: dict[str, Any], progress: Progress, executor: Executor
) -> tuple[Session, int]:
    """Engines, and how many cells make a group: a few batches, as when the run began.

    Groups are cut by the plan alone, so a resumed run sends the same batches through the network,
    unless the user now gives another --batch-tokens.
    """
    length, passes = survey.cell_tokens(plan, border)
    batch = known.get("batch", {})
    given = batch | {"tokens": plan.job.batch_tokens or batch.get("tokens")}
    gradients = bool(value("probe", plan.probe, "GRADIENTS"))
    session = executor.open(
        EngineRequest(plan.entry, plan.job.load, plan.options, given, gradients), progress.note
    )
    same_weights(plan.entry.name, session.facts, known)
    if kin := "scorer" in session.facts and _relation(plan):
        session.facts["scorer"]["relation"] = kin
    # where every query takes many passes, one batch is work enough to lose, or more than enough
    at_once = min(max(1, GROUP / passes) * session.batch["tokens"], WORK / passes)
    fitting = at_once / (1.05 * max(1, length))  # a plan may have cells that ask nothing
    return session, batch.get("cells") or max(1, int(fitting))


def _measure(
    plan: Plan, folder: RunFolder, progress: Progress, session: Session, sheet: Sheet, group: int
) -> None:
    """Measures what a sheet misses, group by group."""
    cells, busy = plan.cells, 0.0
    began, started_at, batch = time.perf_counter(), sheet.done, session.batch
    progress.start(plan.entry.name, len(cells), sheet.done)
    starts = range(sheet.done, len(cells), group)
    named = {"model": plan.entry.name, "run": folder.entries[plan.name]["run"]}
    work = partial(measured, plan.job.probe, tuple(plan.files.values()), named)
    groups = (cells[start : start + group] for start in starts)
    for start, result in zip(
        starts, session.results(work, groups, partial(progress.advance, 0)), strict=True
    ):
        number = min(group, len(cells) - start)
        with uninterrupted():
            sheet.append(result.found, number)
        if result.batch != batch or result.events:
            batch = result.batch
            events = [*folder.entries[plan.name].get("events", []), *result.events]
            told = {"events": events} if events else {}
            folder.update(plan.name, batch={**batch, "cells": group}, **told)
        progress.advance(number, 0)
        busy += result.busy
    if sheet.done > started_at:
        busy /= max(1, len(session.workers))
        progress.note(_timing(plan, busy, time.perf_counter() - began))


def measured(
    probe: str,
    files: Sequence[Sequence[str]],
    named: dict[str, str],
    engine: Engine,
    cells: Sequence[Any],
) -> list[list[dict[str, Any]]]:
    """The rows of a group of cells, by kind of observation, the main one first.

    Args:
        probe: its name.
        files: the columns that are written of each kind.
        named: columns that all rows have alike: the model and the run.
        engine: asks the model.
        cells: of the probe.
    """
    kinds = [kind.name for kind in catalog.observations(probe)]
    rows: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    columns = dict(zip(kinds, files, strict=True))
    for cell, found in catalog.load("probe", probe).measure(engine, cells):
        head = named | _coordinates(cell)
        for kind, own in (found if isinstance(found, dict) else {kinds[0]: found}).items():
            rows[kind] += [_written(head | row, columns[kind]) for row in own]
    return list(rows.values())


def _written(row: dict[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """A row without the columns that this run doesn't write, in which nothing stands."""
    lost = [name for name in row if name not in columns and row[name] is not None]
    assert not lost, f"columns {lost} are not written, but hold {[row[name] for name in lost]}"
    return {name: row[name] for name in columns}


def session_facts(session: Session) -> dict[str, Any]:
    """What run.json records of a session: when it began, and where it runs."""
    from mdlm_probe.core import machine

    found = {"started": now(), "version": __version__, "machine": machine.facts()}
    return found | ({"workers": list(session.workers)} if session.workers else {})


def _note_refused(plan: Plan, reasons: Iterable[str], progress: Progress) -> None:
    for reason in reasons:
        progress.note(f"{plan.entry.name}: {plan.refused[reason]} cells left out: {reason}")


def _timing(plan: Plan, busy: float, seconds: float) -> str:
    """How long the measurement took, and the share of it that no forward pass accounts for."""
    return (
        f"{plan.entry.name}: {seconds:.1f} s, {1 - busy / seconds:.0%} of it outside forward passes"
    )


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


def _relation(plan: Plan) -> str:
    """Whether a plan's scorer is a relative of the model that it scores, and which; else ""."""
    scorer = loaded_models.scorer_of(plan.options, plan.entry)
    return models.relation(scorer, plan.entry) if scorer else ""


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


def same_weights(name: str, facts: dict[str, dict[str, Any]], known: dict[str, Any]) -> None:
    """Refuses to continue with other weights or files than a measurement began with.

    Args:
        name: the model's.
        facts: of the models that take part, by what run.json calls them.
        known: the measurement's entry in run.json.
    """
    names = ("weight_hash", "dtype", "files")
    old = {role: {n: known[role].get(n) for n in names} for role in facts if role in known}
    new = {role: {n: facts[role].get(n) for n in names} for role in old}
    if found := differences(old, new):
        raise ProbeError(
            f"'{name}' is not as it was when this run began:\n"
            + "\n".join(f"  {line}" for line in found),
            hint="--output DIR keeps both; --fresh starts over",
        )


def now() -> str:
    """The time as run.json has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
