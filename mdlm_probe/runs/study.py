"""Studies: many runs in one folder; a model is loaded once, and one failure is never the end.

A study's folder holds a run folder for every run, and study.json: how far each came. What is
finished is skipped, so that the same study resumes wherever it was stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import exclusive
from mdlm_probe.core.run_folder import RUN
from mdlm_probe.core.secrets import redacted
from mdlm_probe.runs import fitting, judges, loaded_models, runner, survey
from mdlm_probe.runs.executors import Executor, lent
from mdlm_probe.runs.plan import Plan
from mdlm_probe.runs.plan import Progress as RunProgress
from mdlm_probe.runs.study_plan import Study, StudyRun, Verdicts
from mdlm_probe.runs.study_record import FAILED, FINISHED, STOPPED, StudyRecord
from mdlm_probe.runs.study_settings import check_settings
from mdlm_probe.tuning.request import Tuning


@dataclass(frozen=True)
class RunOutcome:
    """What came of a run on one model, of a judge or of a tuning.

    Attributes:
        part, model: which one.
        status: "finished" or "failed".
        rows: of its CSV, of a tuning its steps; 0 where it failed.
        error: why it failed, with what to do about it where that is known.
        seconds: that it took this time.
        advised: whether the error says what to do: trying again is no use before that is done.
    """

    part: StudyRun
    model: str
    status: str
    rows: int
    error: str
    seconds: float
    advised: bool = False


class StudyProgress(RunProgress, Protocol):
    """What a front end may want to show while a study runs."""

    def begin(self, run: str, probe: str, model: str, cells: int) -> None:
        """A run's turn with one model begins; judges and tunings have no cells."""

    def step(self, parts: dict[str, float], tokens: int) -> None:
        """A step of a training is over: its losses, and its tokens."""

    def end(self) -> None:
        """It is over, whatever came of it."""


def order(parts: Sequence[StudyRun]) -> list[tuple[StudyRun, Plan]]:
    """Runs with a model each, so that it is loaded once: by model, then scorer, then as listed."""
    pairs = [(part, plan) for part in parts for plan in part.plans]
    at: dict[Any, int] = {}
    for _, plan in pairs:
        at.setdefault(_model(plan), len(at))
    return sorted(pairs, key=lambda pair: (at[_model(pair[1])], _scorer(pair[1])))


def _model(plan: Plan) -> Any:
    return plan.entry.name, plan.entry.source, plan.job.load


def _scorer(plan: Plan) -> str:
    scorer = loaded_models.scorer_of(plan.options, plan.entry)
    return scorer.name if scorer else ""


def execute(
    study: Study,
    folder: Path,
    progress: StudyProgress,
    *,
    only: Sequence[str] = (),
    fresh: bool = False,
    executor: Executor | None = None,
) -> list[RunOutcome]:
    """Runs what is missing of a study; returns what came of every run and model asked for.

    Args:
        study: what to run.
        folder: its folder.
        progress: what a front end shows.
        only: names of runs; none: all.
        fresh: forget earlier verdicts; for measurements, plans say so themselves.
        executor: who measures; none: this process.

    What tokenizers can't do, or have no room for, is found for all runs before the first begins.

    Raises:
        ProbeError: a folder that can't be used, or whose rows were measured with other settings,
            before anything is loaded. What fails in a run is an outcome.
        KeyboardInterrupt: Ctrl-C; the same study resumes.
    """
    parts, found = [part for part in study.parts if not only or part.name in only], []
    made = replace(study, parts=tuple(parts)).adapters
    with locked(folder), lent(executor) as by:
        check_settings(folder, parts, fresh)
        record = StudyRecord(folder, study, parts)
        for part, model, cells, run in _turns(parts, made, folder, progress, fresh, by):
            progress.begin(part.name, part.probe, model, cells)
            found.append(_outcome(part, model, run, record, progress))
            progress.end()
    return found


def _turns(
    parts: Sequence[StudyRun],
    made: Collection[str],
    folder: Path,
    progress: StudyProgress,
    fresh: bool,
    executor: Executor,
) -> Iterator[tuple[StudyRun, str, int, Callable[[], int]]]:
    """What is to be done, in order: part, model, cells, and what does it.

    What fails for sure comes first, then what is trained, measured, judged.
    """
    plans = [(part, plan, _fault(plan, executor, made)) for part, plan in order(parts)]
    for part, plan, fault in plans:
        if fault:
            yield part, plan.entry.name, len(plan.cells), _raising(fault)
    trained = [(part, part.tuning, _untrainable(part.tuning)) for part in parts if part.tuning]
    for part, tuning, fault in sorted(trained, key=lambda turn: turn[2] is None):
        train = _raising(fault) if fault else _training(tuning, progress)
        yield part, tuning.model, 0, train
    for part, plan, fault in plans:
        if not fault:
            measure = _measurement(plan, progress, executor)
            yield part, plan.entry.name, len(plan.cells), measure
    executor.close()
    for part in parts:
        if part.verdicts:
            ask = _judgement(part.verdicts, folder, progress, fresh)
            yield part, part.verdicts.by.name, 0, ask


def _fault(plan: Plan, executor: Executor, made: Collection[str]) -> ProbeError | None:
    """Why a plan can't be measured, as far as tokenizer and adapter tell; None if they don't.

    Args:
        plan, executor: what is to be measured, and by whom.
        made: adapters that are trained before.
    """
    try:
        if not runner.is_finished(plan):
            if plan.job.load.adapter not in made:
                models.check_adapter(plan.entry, plan.job.load)
            border = executor.border(plan.entry, plan.job.load)
            fitting.fit(plan, border, survey.LOOKED)
            if scorer := loaded_models.scorer_of(plan.options, plan.entry):
                executor.border(scorer, loaded_models.scorer_load(scorer, plan.job.load))
    except ProbeError as error:
        return error.with_traceback(None)
    except Exception:  # its own turn will tell
        return None
    return None


def _untrainable(asked: Tuning) -> ProbeError | None:
    """Why a tuning can't begin, as far as tokenizer and data tell; None where nothing is known."""
    from mdlm_probe.tuning import tune  # studies without need no trainer

    try:
        tune.prepare(asked)
    except ProbeError as error:
        return error.with_traceback(None)
    return None


def _raising(error: ProbeError) -> Callable[[], int]:
    def fail() -> int:
        raise error

    return fail


def _measurement(plan: Plan, progress: StudyProgress, executor: Executor) -> Callable[[], int]:
    return lambda: rows_of(runner.run(plan, progress, executor))


def _training(asked: Tuning, progress: StudyProgress) -> Callable[[], int]:
    def train() -> int:
        from mdlm_probe.tuning import training_log, tune

        return rows_of(tune.run(asked, progress) / training_log.NAME)

    return train


def _judgement(
    asked: Verdicts, folder: Path, progress: StudyProgress, fresh: bool
) -> Callable[[], int]:
    def judge() -> int:
        done = judges.judge(folder / asked.run, asked.by, asked.choice, progress, fresh=fresh)
        if done.failed:
            raise ProbeError(
                f"{done.failed} of {done.verdicts} verdicts failed; the first: {done.reason}"
            )
        return rows_of(done.path)

    return judge


def _outcome(
    part: StudyRun, model: str, run: Callable[[], int], record: StudyRecord, progress: StudyProgress
) -> RunOutcome:
    """Runs one thing. Whatever goes wrong is told, except Ctrl-C: others may well succeed."""
    began = time.monotonic()
    rows, error, advised = 0, "", False
    try:
        rows = run()
    except KeyboardInterrupt:
        record.add(part, model, STOPPED, "", time.monotonic() - began)
        raise
    except ProbeError as fault:
        error, advised = str(fault), bool(fault.hint)
    except Exception as fault:  # of torch, say: a study of many hours must go on
        error = redacted(f"{type(fault).__name__}: {fault}")
    if error:
        progress.note("  failed: " + error.replace("\n", "\n  "))
        loaded_models.free_memory()  # the error held what it was raised in
    status = FAILED if error else FINISHED
    seconds = time.monotonic() - began
    record.add(part, model, status, error, seconds)
    return RunOutcome(part, model, status, rows, error, seconds, advised)


def rows_of(path: Path) -> int:
    """Rows of a CSV; no value holds a line break."""
    with path.open("rb") as file:
        return sum(1 for _ in file) - 1


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A study's folder, created if absent, for this process alone.

    Raises:
        ProbeError: it is another process's, a run's own, or can't be used.
    """
    if (folder / RUN).exists():
        raise ProbeError(
            f"{folder} holds a run of its own",
            expected="a folder for the study's runs",
            hint="choose another --output",
        )
    with exclusive(folder, "study.lock", f"running a study in {folder}"):
        yield
