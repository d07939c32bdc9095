"""Answers to prompts, written into a log in groups that fill a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.columns import MODEL, Column
from mdlm_probe.core.json_lines import JsonLines
from mdlm_probe.core.run_folder import RunFolder
from mdlm_probe.decoding import answers, text_quality
from mdlm_probe.decoding.canvas import Intervention, Observer, Step
from mdlm_probe.decoding.canvas_of_prompt import in_tokens
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.runs import loaded_models, runner
from mdlm_probe.runs.executors import in_process
from mdlm_probe.runs.plan import Job

if TYPE_CHECKING:
    from mdlm_probe.engine.engine import Engine

COLUMNS = (
    Column("id", str, "", "id of the prompt"),
    Column("task", str, "", "type of the prompt"),
    MODEL,
    Column("prompt", str, "", "text of the prompt"),
    Column("answer", str, "", "text of the answer, up to the first end of text"),
    Column("ended", bool, "", "whether an end of text was written"),
    Column("tokens", int, "tokens", "tokens of the answer"),
    Column("passes", int, "passes", "forward passes"),
    *text_quality.COLUMNS,
    Column("steps", list, "", "step that wrote each token of the answer, from 1"),
    Column("logprobs", list, "nats", "log-probability of each token when it was written"),
)
"""What a line of the JSONL holds."""


class GenerationProgress(Protocol):
    """What a front end may want to show while answers are written."""

    def note(self, text: str) -> None:
        """Something a person should know."""

    def start(self, name: str, cells: int, done: int) -> None:
        """A model begins to write so many answers, or resumes."""

    def wrote(self, tokens: int) -> None:
        """A step of one answer wrote so many tokens."""

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
    """

    texts: tuple[Text, ...]
    length: int
    schedule: Schedule

    def schedule_of(self, text: Text) -> Schedule:
        """The schedule of one answer, with a seed of its own."""
        given = asdict(self.schedule)
        return Schedule(**given | {"seed": seed_of("generate", text.id, self.schedule.seed)})


@dataclass(frozen=True)
class AnswerWriter:
    """A job whose answers are written: the model, the prompts, and where the answers go."""

    job: Job
    entry: Checkpoint
    request: GenerationRequest
    folder: RunFolder
    name: str
    log: JsonLines
    progress: GenerationProgress

    def write(self, longest: int) -> None:
        """Loads the model and writes what is missing, in groups that fill a batch.

        Groups are cut by the whole plan, so that a resumed run sends the same batches.
        """
        progress, texts, known = self.progress, self.request.texts, self.folder.entries[self.name]
        engine = self._engine(known)
        fitting = 1 if progress.watches else max(1, engine.batch_tokens // longest)
        size = known.get("batch", {}).get("answers") or fitting
        done = len(self.log.records) // size * size
        self.log.cut(done)
        self._begin(engine, size)
        progress.start(self.entry.name, len(texts), done)
        try:
            for at in range(done, len(texts), size):
                self._write_group(engine, texts[at : at + size], size)
        finally:
            if engine.events:
                events = [*known.get("events", []), *engine.events]
                self.folder.update(self.name, events=events)
            loaded_models.free_memory()

    def _engine(self, known: dict[str, Any]) -> Engine:
        """The engine, with the budgets of an earlier session.

        Raises:
            ProbeError: the weights are not those of an earlier session.
        """
        from mdlm_probe.engine.engine import Engine

        model = loaded_models.load_model(self.entry, self.job.load, self.progress.note)
        batch = known.get("batch", {})
        runner.same_weights(self.entry.name, {"model": in_process.facts_of(model)}, known)
        tokens = self.job.batch_tokens or batch.get("tokens")
        return Engine(model, batch_tokens=tokens, kv_cache_tokens=batch.get("held"))

    def _begin(self, engine: Engine, size: int) -> None:
        from mdlm_probe.core import machine

        session = {"started": runner.now(), "machine": machine.facts()}
        self.folder.update(
            self.name,
            status="started",
            model=in_process.facts_of(engine.model),
            batch={**engine.budgets, "answers": size},
            sessions=[*self.folder.entries[self.name].get("sessions", []), session],
        )

    def _write_group(self, engine: Engine, group: Sequence[Text], size: int) -> None:
        budgets = engine.budgets
        group = [in_tokens(engine, text) for text in group]
        found = self._answers(engine, group)
        records = [record_of(self.entry.name, *pair) for pair in zip(group, found, strict=True)]
        with runner.uninterrupted():
            self.log.append(records)
        if engine.budgets != budgets:  # a resumed run sends the same batches
            self.folder.update(self.name, batch={**engine.budgets, "answers": size})
        self.progress.advance(len(group), 0)

    def _answers(self, engine: Engine, group: Sequence[Text]) -> list[answers.Answer]:
        length = self.request.length
        observers = [
            _ProgressObserver(self.progress, self.progress.watcher(text, engine, length))
            for text in group
        ]
        schedules = [self.request.schedule_of(text) for text in group]
        names = [f"prompt '{text.id}'" for text in group]
        return answers.write(engine, group, length, schedules, names, observers)


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
        "id": text.id,
        "task": text.task,
        "model": model,
        "prompt": text.prompt,
        "answer": answer.text,
        "ended": answer.ended,
        "tokens": size,
        "passes": made.passes,
        **{n: round(v, 4) if isinstance(v, float) else v for n, v in quality.items()},
        **({} if answer.slack_share is None else {"slack_share": round(answer.slack_share, 4)}),
        "steps": [made.steps[place] for place in answer.places],
        "logprobs": [round(made.logprobs[place], 4) for place in answer.places],
    }
