"""Answers to prompts, written into a log in groups that fill a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.columns import MODEL, RUN, Column
from mdlm_probe.core.json_lines import JsonLines
from mdlm_probe.core.run_folder import RunFolder
from mdlm_probe.core.shared_columns import (
    ANSWER,
    ANSWER_TOKENS,
    ENDED,
    PASSES,
    PROMPT,
    TASK,
)
from mdlm_probe.decoding import answers, canvas_of_prompt, infilling, text_quality
from mdlm_probe.decoding.canvas import Intervention, Observer, Step
from mdlm_probe.decoding.schedule import Schedule, kept
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.runs import run_id, runner
from mdlm_probe.runs.executors.contract import EngineRequest, Executor, GroupResult, Session
from mdlm_probe.runs.plan import Job

if TYPE_CHECKING:
    from mdlm_probe.engine.engine import Engine

COLUMNS = (
    PROMPT,
    TASK,
    MODEL,
    Column("prompt_text", str, "", "text of the prompt"),
    ANSWER,
    ENDED,
    ANSWER_TOKENS,
    PASSES,
    *text_quality.COLUMNS,
    Column("slack_share", float, "share", "tokens that were slack: of adapters that have some"),
    Column("token_steps", list, "", "step that wrote each token of the answer, from 1"),
    Column("logprobs", list, "nats", "log-probability of each token when it was written"),
    Column("parts", list, "", "text of each span that was filled in", optional=True),
    Column("filled_text", str, "", "the prompt with its spans filled in", optional=True),
    RUN,
)
"""What a line of the JSONL holds."""


class GenerationProgress(Protocol):
    """What a front end may want to show while answers are written."""

    def note(self, text: str) -> None:
        """Something a person should know."""

    def start(self, name: str, cells: int, done: int) -> None:
        """A model begins to write so many answers, or resumes."""

    def wrote(self, tokens: int, steps: int = 1) -> None:
        """Steps of one answer wrote so many tokens."""

    def advance(self, cells: int, tokens: int) -> None:
        """So many answers are safe on disk."""

    def watcher(self, text: Text, engine: Engine, length: int) -> Intervention | None:
        """What draws an answer while it is written, where `watches`."""

    watches: bool
    """Whether someone looks on: then answers are written one by one."""


@dataclass(frozen=True)
class GenerationRequest:
    """What is to be written: prompts, and how.

    Attributes:
        texts: the prompts.
        length: masks of a canvas, or most tokens of a causal model's answer.
        schedule: of every answer; its seed is one for all prompts.
        infill: whether masks stand within the prompts, which say how many; see `infilling`.
    """

    texts: tuple[Text, ...]
    length: int
    schedule: Schedule
    infill: bool = False

    def schedule_of(self, text: Text) -> Schedule:
        """The schedule of one answer, with a seed of its own."""
        return replace(self.schedule, seed=seed_of("generate", text.id, self.schedule.seed))


@dataclass(frozen=True)
class AnswerWriter:
    """A job whose answers are written: the model, the prompts, who writes, and where they go."""

    job: Job
    entry: Checkpoint
    request: GenerationRequest
    folder: RunFolder
    name: str
    log: JsonLines
    progress: GenerationProgress
    executor: Executor

    def write(self, longest: int) -> None:
        """Loads the model and writes what is missing, in groups that fill a batch.

        Groups are cut by the whole plan, so that a resumed run sends the same batches.
        """
        progress, texts, known = self.progress, self.request.texts, self.folder.entries[self.name]
        session = self._session(known)
        fitting = 1 if progress.watches else max(1, session.batch["tokens"] // longest)
        size = known.get("batch", {}).get("answers") or fitting
        done = len(self.log.records) // size * size
        self.log.cut(done)
        own = run_id.run_id(known["config"], session.facts)
        self.folder.update(
            self.name,
            status="started",
            **kept(asdict(self.request.schedule), self.entry),
            run=run_id.same_run(self.entry.name, own, known),
            **session.facts,
            batch={**session.batch, "answers": size},
            sessions=[*known.get("sessions", []), runner.session_facts(session)],
        )
        progress.start(self.entry.name, len(texts), done)
        how = replace(self.request, texts=())
        work = partial(written, how, None if session.workers else progress)
        groups = [texts[at : at + size] for at in range(done, len(texts), size)]
        for result in session.results(work, groups, lambda tokens: None):
            self._keep(result, size, stepped=not session.workers)

    def _session(self, known: dict[str, Any]) -> Session:
        """The model, with the budgets of an earlier session.

        Raises:
            ProbeError: the weights are not those of an earlier session.
        """
        batch = known.get("batch", {})
        given = batch | {"tokens": self.job.batch_tokens or batch.get("tokens")}
        asked = EngineRequest(self.entry, self.job.load, batch=given)
        session = self.executor.open(asked, self.progress.note)
        runner.same_weights(self.entry.name, session.facts, known)
        return session

    def _keep(self, result: GroupResult[list[dict[str, Any]]], size: int, stepped: bool) -> None:
        """Keeps a group's answers; their steps are told here unless they were, one by one."""
        with runner.uninterrupted():
            own = self.folder.entries[self.name]["run"]
            self.log.append([record | {RUN.name: own} for record in result.found])
        batch, entry = {**result.batch, "answers": size}, self.folder.entries[self.name]
        if batch != entry["batch"] or result.events:  # a resumed run sends the same batches
            events = [*entry.get("events", []), *result.events]
            self.folder.update(self.name, batch=batch, **({"events": events} if events else {}))
        for record in () if stepped else result.found:
            self.progress.wrote(record["answer_tokens"], record["passes"])
        self.progress.advance(len(result.found), 0)


def written(
    how: GenerationRequest,
    progress: GenerationProgress | None,
    engine: Engine,
    texts: Sequence[Text],
) -> list[dict[str, Any]]:
    """The records of answers to prompts, which are written side by side.

    Args:
        how: length and schedule; its own prompts don't matter.
        progress: told of every step, and may draw it; None: nobody is.
        engine: asks the model.
        texts: the prompts.
    """
    if not how.infill:
        texts = [canvas_of_prompt.in_tokens(engine, text) for text in texts]
    observers = []
    if progress:
        watchers = [progress.watcher(text, engine, how.length) for text in texts]
        observers = [_ProgressObserver(progress, watcher) for watcher in watchers]
    schedules = [how.schedule_of(text) for text in texts]
    names = [f"prompt '{text.id}'" for text in texts]
    found: Sequence[answers.Answer]
    if how.infill:
        found = infilling.write(engine, texts, schedules, names, observers)
    else:
        found = answers.write(engine, texts, how.length, schedules, names, observers)
    return [record_of(engine.entry.name, *pair) for pair in zip(texts, found, strict=True)]


class _ProgressObserver(Observer):
    """Tells of every step, and changes nothing."""

    def __init__(self, progress: GenerationProgress, watcher: Intervention | None) -> None:
        self._progress, self._watcher = progress, watcher

    def write(self, step: Step) -> dict[int, int]:
        self._progress.wrote(len(step.chosen))
        if self._watcher:
            self._watcher.write(step)
        return step.chosen


def record_of(model: str, text: Text, answer: answers.Answer) -> dict[str, Any]:
    """An answer for the log: with the step that wrote each of its tokens, and its probability."""
    made, size = answer.decoded, len(answer.ids)
    quality = text_quality.columns_of(text.prompt, answer.text, answer.ids)
    return {
        "prompt": text.id,
        "task": text.task,
        "model": model,
        "prompt_text": text.prompt,
        "answer": answer.text,
        "ended": answer.ended,
        "answer_tokens": size,
        "passes": made.passes,
        **{n: round(v, 4) if isinstance(v, float) else v for n, v in quality.items()},
        **({} if answer.slack_share is None else {"slack_share": round(answer.slack_share, 4)}),
        "token_steps": [made.steps[place] for place in answer.places],
        "logprobs": [round(made.logprobs[place], 4) for place in answer.places],
        **_infilled(answer),
    }


def _infilled(answer: answers.Answer) -> dict[str, Any]:
    """What only answers within a text have."""
    if not isinstance(answer, infilling.InfilledText):
        return {}
    return {"parts": list(answer.parts), "filled_text": answer.whole}
