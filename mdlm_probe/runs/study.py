"""Studies: many runs in one folder; a model is loaded once, and one failure is never the end.

A study's folder holds a run folder for every run, and study.json: how far each came. What is
finished is skipped, so the same study goes on wherever it was stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mdlm_probe.core.catalog import JUDGE
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import alone
from mdlm_probe.core.run_folder import RUN, differences, read_run, read_study, write_study
from mdlm_probe.runs import judges, loaded_models, runner
from mdlm_probe.runs.loaded_models import LoadedModels
from mdlm_probe.runs.plan import Plan, slug
from mdlm_probe.runs.plan import Progress as RunProgress

FINISHED, FAILED, STOPPED, PENDING = "finished", "failed", "stopped", "pending"


@dataclass(frozen=True)
class Verdicts:
    """What a judge is asked: by whom, of which run, about which pairs."""

    run: str
    by: judges.Judge
    choice: judges.Choice


@dataclass(frozen=True)
class StudyRun:
    """One run of a study: a probe on its models, or a judge of another run.

    Attributes:
        name: of the run, and of its folder.
        probe: the probe's name, or "judge".
        plans: what is to be measured, a plan a model.
        verdicts: what a judge is asked; then there are no plans.
    """

    name: str
    probe: str
    plans: tuple[Plan, ...] = ()
    verdicts: Verdicts | None = None

    @property
    def models(self) -> list[str]:
        """Who is asked, by name."""
        return [self.verdicts.by.name] if self.verdicts else [p.entry.name for p in self.plans]


@dataclass(frozen=True)
class Study:
    """A study ready to run.

    Attributes:
        name: its file's name.
        source: its file's text.
        parts: its runs, as listed.
    """

    name: str
    source: str
    parts: tuple[StudyRun, ...]


@dataclass(frozen=True)
class RunOutcome:
    """What came of a run on one model, or of a judge.

    Attributes:
        part, model: which one.
        status: "finished" or "failed".
        rows: of its CSV; 0 where it failed.
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
        """A run's turn with one model begins; judges have no cells."""

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
) -> list[RunOutcome]:
    """Runs what is missing of a study; returns what came of every run and model asked for.

    Args:
        study: what to run.
        folder: its folder.
        progress: what a front end shows.
        only: names of runs; none: all.
        fresh: forget earlier verdicts; for measurements, plans say so themselves.

    Raises:
        ProbeError: a folder that can't be used, or whose rows were measured with other settings,
            before anything is loaded. What fails in a run is an outcome.
        KeyboardInterrupt: Ctrl-C; the same study goes on.
    """
    parts = [part for part in study.parts if not only or part.name in only]
    shelf, found = LoadedModels(), []
    with locked(folder):
        check_settings(folder, parts, fresh)
        record = StudyRecord(folder, study, parts)
        for part, plan in order(parts):
            progress.begin(part.name, part.probe, plan.entry.name, len(plan.cells))
            measure = _measurement(plan, progress, shelf)
            found.append(_outcome(part, plan.entry.name, measure, record, progress))
            progress.end()
        shelf.clear()
        for part in parts:
            if part.verdicts:
                progress.begin(part.name, JUDGE, part.verdicts.by.name, 0)
                ask = _judgement(part.verdicts, folder, progress, fresh)
                found.append(_outcome(part, part.verdicts.by.name, ask, record, progress))
                progress.end()
    return found


def check_settings(folder: Path, parts: Sequence[StudyRun], fresh: bool = False) -> None:
    """Refuses to go on with other settings than the rows in the run folders were measured with.

    Raises:
        ProbeError: every setting that differs, old and new, with its run, models and file.
    """
    found: dict[tuple[str, str, str], list[str]] = {}
    for part in parts:
        changed = [
            (plan.entry.name, plan.job.output, line)
            for plan in part.plans
            for line in _changed(plan)
        ]
        if part.verdicts and not fresh:
            at = folder / part.verdicts.run
            changed += [(part.models[0], at, line) for line in _changed_judge(part.verdicts, at)]
        for model, place, line in changed:
            found.setdefault((part.name, str(place / RUN), line), []).append(model)
    if found:
        runs = ",".join(dict.fromkeys(run for run, _, _ in found))
        lines = [
            f"  {run} ({file}; {', '.join(models)}): {line}"
            for (run, file, line), models in found.items()
        ]
        raise ProbeError(
            f"{folder} holds rows that were measured with other settings:\n" + "\n".join(lines),
            expected="the settings before the arrows, with which the same study goes on",
            hint=f"--output DIR keeps both; --only {runs} --fresh forgets the rows of these runs",
        )


def _changed(plan: Plan) -> list[str]:
    """Settings of a plan that are not those of its rows; what has no rows, or is to be forgotten,
    binds nobody.
    """
    known = {} if plan.job.fresh else _recorded(plan.job.output, plan.name)
    return differences(known, plan.config) if known else []


def _changed_judge(asked: Verdicts, folder: Path) -> list[str]:
    """The same of a judge, but for what is judged, which may not be measured yet."""
    options = {n: list(v) if isinstance(v, tuple) else v for n, v in asdict(asked.choice).items()}
    known = _recorded(folder, f"judge__{slug(asked.by.name)}")
    new = {"options": options, **asked.by.config} if known else {}
    return differences({name: known.get(name) for name in new}, new)


def _recorded(folder: Path, name: str) -> dict[str, Any]:
    """The settings that a measurement's rows were measured with; empty where there are none."""
    if (folder / f"{name}.csv").exists():
        with suppress(ProbeError):  # a damaged run.json is its run's own failure
            config: dict[str, Any] = read_run(folder).get(name, {}).get("config", {})
            return config
    return {}


def _measurement(plan: Plan, progress: StudyProgress, shelf: LoadedModels) -> Callable[[], int]:
    return lambda: rows_of(runner.run(plan, progress, shelf))


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
    """Runs one thing. Whatever goes wrong is told, but for Ctrl-C: others may well succeed."""
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
        error = f"{type(fault).__name__}: {fault}"
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
    with alone(folder, "study.lock", f"running a study in {folder}"):
        yield


@dataclass
class StudyRecord:
    """study.json: what the study is, and how far each of its runs came; saved at every change.

    Attributes:
        folder: the study's.
        study: all of it.
        parts: runs that are asked for this time; of others, what is known stays.
    """

    folder: Path
    study: Study
    parts: Sequence[StudyRun]
    _came: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        old = read_study(self.folder).get("runs", {})
        asked = {part.name for part in self.parts}
        self.runs = {
            part.name: self._entry(part, old.get(part.name, {}), part.name in asked)
            for part in self.study.parts
        }
        self.save()

    @staticmethod
    def _entry(part: StudyRun, old: dict[str, Any], asked: bool) -> dict[str, Any]:
        given = {"probe": part.probe, "models": part.models}
        same = all(old.get(name) == value for name, value in given.items())
        if same and not asked:
            return old
        seconds = old.get("seconds", 0.0) if same else 0.0
        return {"status": PENDING, "error": "", "seconds": seconds, **given}

    def add(self, part: StudyRun, model: str, status: str, error: str, seconds: float) -> None:
        """Writes down what came of a run with one model."""
        came = self._came.setdefault(part.name, {})
        came[model] = status, error
        states = {status for status, _ in came.values()}
        whole = FINISHED if len(came) == len(part.models) else PENDING
        entry = self.runs[part.name]
        entry["status"] = next((s for s in (FAILED, STOPPED) if s in states), whole)
        entry["error"] = "\n".join(f"{name}: {text}" for name, (_, text) in came.items() if text)
        entry["seconds"] = round(entry["seconds"] + seconds, 1)
        self.save()

    def save(self) -> None:
        """Writes study.json at once or not at all."""
        found = {"study": self.study.name, "source": self.study.source, "runs": self.runs}
        write_study(self.folder, found)
