"""Studies: many runs in one folder; a model is loaded once, and one failure is never the end.

A study's folder holds a run folder for every run, and study.json: how far each came. What is
finished is skipped, so that the same study resumes wherever it was stopped.
"""

from __future__ import annotations

import threading
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
from mdlm_probe.runs import fitting, judges, loaded_models, placement, runner, survey
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


class TurnProgress(RunProgress, Protocol):
    """What a front end may want to show of one run's turn with one model."""

    def step(self, parts: dict[str, float], tokens: int) -> None:
        """A step of a training is over: its losses, and its tokens."""

    def end(self) -> None:
        """It is over, whatever came of it."""


class StudyProgress(Protocol):
    """What a front end may want to show while a study runs."""

    def note(self, text: str) -> None:
        """Something a person should know."""

    def begin(self, run: str, probe: str, model: str, cells: int) -> TurnProgress:
        """A run's turn with one model begins, while others may go on; judges and tunings have no
        cells.
        """


@dataclass(frozen=True)
class Turn:
    """One run with one model, as it is to be done.

    Attributes:
        part, model: which one.
        cells: how many are planned; of judges and tunings none.
        do: does it, and returns how many rows there are.
    """

    part: StudyRun
    model: str
    cells: int
    do: Callable[[TurnProgress, Executor], int]


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
    Then come those that fail for sure, trainings, measurements, and judges. Models are measured at
    the same time where the executor has room for several.

    Raises:
        ProbeError: a folder that can't be used, or whose rows were measured with other settings,
            before anything is loaded. What fails in a run is an outcome.
        KeyboardInterrupt: Ctrl-C; the same study resumes.
    """
    parts = [part for part in study.parts if not only or part.name in only]
    made = replace(study, parts=tuple(parts)).adapters
    with locked(folder), lent(executor) as by:
        check_settings(folder, parts, fresh)
        record = StudyRecord(folder, study, parts)
        going = _Going(record, progress)
        take = going.take
        try:
            pairs = [(part, plan, _fault(plan, by, made)) for part, plan in order(parts)]
            found = [
                take(Turn(part, plan.entry.name, len(plan.cells), _raising(fault)), by)
                for part, plan, fault in pairs
                if fault
            ]
            found += [take(turn, by) for turn in _trainings(parts)]
            measured = [_measurement(part, plan) for part, plan, fault in pairs if not fault]
            found += placement.outcomes(measured, by, take)
            judgements = _judgements(parts, folder, fresh)
            if judgements:
                by.close()  # a judge's own model needs the room
            found += [take(turn, by) for turn in judgements]
        except BaseException:
            going.stop()
            raise
    return found


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


def _raising(error: ProbeError) -> Callable[[TurnProgress, Executor], int]:
    def fail(progress: TurnProgress, executor: Executor) -> int:
        raise error

    return fail


def _measurement(part: StudyRun, plan: Plan) -> tuple[Any, int, Turn]:
    """A measurement with its model, and that model's parameters."""

    def measure(progress: TurnProgress, executor: Executor) -> int:
        return rows_of(runner.run(plan, progress, executor))

    turn = Turn(part, plan.entry.name, len(plan.cells), measure)
    return _model(plan), plan.entry.geometry.get("parameters", 0), turn


def _trainings(parts: Sequence[StudyRun]) -> list[Turn]:
    """What is to be trained; what can't be comes first."""

    def trained(asked: Tuning) -> Callable[[TurnProgress, Executor], int]:
        def train(progress: TurnProgress, executor: Executor) -> int:
            from mdlm_probe.tuning import training_log, tune

            return rows_of(tune.run(asked, progress) / training_log.NAME)

        return train

    asked = [(part, part.tuning, _untrainable(part.tuning)) for part in parts if part.tuning]
    return [
        Turn(part, tuning.model, 0, _raising(fault) if fault else trained(tuning))
        for part, tuning, fault in sorted(asked, key=lambda one: one[2] is None)
    ]


def _judgements(parts: Sequence[StudyRun], folder: Path, fresh: bool) -> list[Turn]:
    """What is to be judged."""

    def judged(asked: Verdicts) -> Callable[[TurnProgress, Executor], int]:
        def judge(progress: TurnProgress, executor: Executor) -> int:
            at, by, choice = folder / asked.run, asked.by, asked.choice
            how: Any = {"fresh": fresh, "executor": executor}
            if isinstance(choice, judges.ModelChoice):
                done = judges.judge_models([at], by, choice, at, progress, **how)
            else:
                done = judges.judge(at, by, choice, progress, **how)
            if done.failed:
                raise ProbeError(
                    f"{done.failed} of {done.verdicts} verdicts failed; the first: {done.reason}"
                )
            return rows_of(done.path)

        return judge

    asked = [(part, part.verdicts) for part in parts if part.verdicts]
    return [Turn(part, verdicts.by.name, 0, judged(verdicts)) for part, verdicts in asked]


class _Going:
    """Turns that are going on, several at a time.

    Args:
        record: where it is written what comes of them.
        progress: what a front end shows.
    """

    def __init__(self, record: StudyRecord, progress: StudyProgress) -> None:
        self._record, self._progress = record, progress
        self._began: dict[tuple[str, str], tuple[StudyRun, float]] = {}
        self._lock = threading.Lock()
        self._stopped = False

    def take(self, turn: Turn, executor: Executor) -> RunOutcome:
        """Does one thing. Whatever goes wrong is told, except Ctrl-C: others may well succeed."""
        part, model = turn.part, turn.model
        rows, error, advised = 0, "", False
        began = time.monotonic()
        self._began[part.name, model] = part, began
        shown = self._progress.begin(part.name, part.probe, model, turn.cells)
        try:
            rows = turn.do(shown, executor)
        except ProbeError as fault:
            error, advised = str(fault), bool(fault.hint)
        except Exception as fault:  # of torch, say: a study of many hours must go on
            error = redacted(f"{type(fault).__name__}: {fault}")
        seconds = time.monotonic() - began
        with self._lock:
            if self._stopped:  # workers that were ended fail
                raise KeyboardInterrupt
            self._record.add(part, model, FAILED if error else FINISHED, error, seconds)
            del self._began[part.name, model]
        if error:
            shown.note("  failed: " + error.replace("\n", "\n  "))
            loaded_models.free_memory()  # the error held what it was raised in
        shown.end()
        status = FAILED if error else FINISHED
        return RunOutcome(part, model, status, rows, error, seconds, advised)

    def stop(self) -> None:
        """Writes down that what is going on was stopped; what comes of it now is nobody's."""
        with self._lock:
            self._stopped = True
            for (_, model), (part, began) in self._began.items():
                self._record.add(part, model, STOPPED, "", time.monotonic() - began)


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
