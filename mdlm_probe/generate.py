"""Generation: prompts in, answers out as JSONL, a model at a time; an interrupted run goes on.

A run folder holds `generate__MODEL.jsonl`, a line an answer in the order of the prompts, and
run.json.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from mdlm_probe import answers, few_shot, models, runner, schedules, spans, texts
from mdlm_probe.canvases import Intervention, Onlooker, Step
from mdlm_probe.cells import seed as seed_of
from mdlm_probe.errors import ProbeError
from mdlm_probe.models._base import Entry
from mdlm_probe.schedules import Schedule
from mdlm_probe.sink import Run, unusable
from mdlm_probe.texts import Text

if TYPE_CHECKING:
    from mdlm_probe.engine import Engine


class Progress(Protocol):
    """What a front end may want to show while answers are written."""

    def note(self, text: str) -> None:
        """Something a person should know."""

    def start(self, name: str, cells: int, done: int) -> None:
        """A model begins to write so many answers, or goes on."""

    def wrote(self, tokens: int) -> None:
        """A step of one answer wrote so many tokens."""

    def advance(self, cells: int, tokens: int) -> None:
        """So many answers are safe on disk."""

    def watcher(self, text: Text, engine: Engine, length: int) -> Intervention | None:
        """What draws an answer while it is written, where `watches`."""

    watches: bool
    """Whether someone looks on: then answers are written one by one."""


@dataclass(frozen=True)
class Wish:
    """What is to be written: prompts, and how.

    Attributes:
        texts: the prompts.
        length: masks of a canvas, or most tokens of a causal model's answer.
        schedule: of every answer; its seed is one for all prompts.
    """

    texts: tuple[Text, ...]
    length: int
    schedule: Schedule

    def own(self, text: Text) -> Schedule:
        """The schedule of one answer, with a seed of its own."""
        given = asdict(self.schedule)
        return Schedule(**given | {"seed": seed_of("generate", text.id, self.schedule.seed)})


def plan(
    *,
    text: Annotated[tuple[str, ...], "prompts as they are"] = (),
    prompts: Annotated[
        str, "prompts in tasks/, a path to your own .jsonl or .txt, or - for stdin"
    ] = "open",
    lexicon: answers.LexiconOption = "full",
    tasks: answers.TasksOption = ("all",),
    limit: answers.LimitOption = 1000,
    length: Annotated[int, "masks of the canvas; causal models: most tokens"] = 256,
    steps: Annotated[int | None, "unmasking steps; default: one a mask"] = None,
    block: answers.BlockOption = None,
    order: Annotated[schedules.Order, "which masks of a block a step commits"] = "low_confidence",
    threshold: answers.ThresholdOption = 0.9,
    temperature: answers.TemperatureOption = 0.0,
    guidance: answers.GuidanceOption = 0.0,
    eos: answers.EosOption = "free",
    cache: Annotated[
        schedules.Cache, "keys and values kept within a block; other than none: an approximation"
    ] = "none",
    seed: Annotated[int, "seed of random orders and of tokens drawn"] = 0,
) -> Wish:
    """The prompts, and the schedule of their answers.

    Raises:
        ProbeError: a schedule that no canvas of this length has, or prompts that can't be read.
    """
    few_shot.check(limit=limit, seed=seed)
    made = Schedule(
        *(
            steps or length,
            answers.block_of(block, length, order),
            order,
            threshold,
            temperature,
            guidance,
            eos,
            cache,
        ),
        seed=seed,
    )
    schedules.check(length, made)
    if text:
        given = tuple(Text(str(i), "text", one) for i, one in enumerate(text, 1))
        for one in given:
            if not one.prompt.strip() or one.prompt != one.prompt.encode(errors="replace").decode():
                raise ProbeError(
                    f"prompt {one.id} is empty, or not UTF-8", expected="a text to continue"
                )
        return Wish(given, length, made)
    found = spans.chosen(texts.load(prompts, lexicon), tasks, limit, "left")
    return Wish(tuple(found), length, made)


def run(job: runner.Job, progress: Progress) -> Path:
    """Writes the answers that are still missing of a job; returns the JSONL.

    Raises:
        ProbeError: whatever the user can mend; answers written before stay.
    """
    entry = job.load.apply(models.resolve(job.model, job.load.revision))
    options = _options(job, entry)
    wish = plan(**options)
    longest = _longest(job, entry, wish)
    name = f"generate__{runner.slug(entry.name)}"
    texts_hash = hashlib.blake2b(repr(wish.texts).encode(), digest_size=8).hexdigest()
    config = {
        "probe": "generate",
        "model": entry.name,
        "source": runner.portable(runner.place(entry.source)),
        "options": options,
        "sources": {"prompts": texts_hash},
        "load": asdict(job.load),
    }
    with Run.locked(job.output, fresh=job.fresh) as folder:
        path = folder.path(name).with_suffix(".jsonl")
        known = folder.begin(name, {"config": config}, path)
        done = _whole_lines(path, wish.texts)
        if done == len(wish.texts) and known.get("status") == "finished":
            progress.note(f"{path} is finished: nothing to do")
        else:
            _write(job, entry, wish, longest, path, done, folder, name, known, progress)
        folder.update(name, status="finished", ended=runner.now())
    return path


def _options(job: runner.Job, entry: Entry) -> dict[str, Any]:
    known = inspect.signature(plan).parameters
    given = {name: value for name, value in job.options.items() if value not in (None, ())}
    own = {} if {"prompts", "text"} & given.keys() else entry.defaults_for("generate")
    suited = {name: value for name, value in own.items() if name in known}
    return {name: p.default for name, p in known.items()} | suited | given


def _longest(job: runner.Job, entry: Entry, wish: Wish) -> int:
    """Most tokens of a prompt with its answer, found before any weights are loaded.

    Raises:
        ProbeError: a prompt that leaves no room, or can't be read.
    """
    from mdlm_probe.engine import Counter

    border = models.load_border(entry, job.load)
    counter = Counter(border.entry, border)
    found = (spans.span(counter, text, wish.length, "left") for text in wish.texts)
    own = wish.length if entry.kind == "causal" else 0
    return max(len(span.ids) for span in found) + own


def _whole_lines(path: Path, wanted: Sequence[Text]) -> int:
    """How many answers the file holds; a torn last line counts for nothing.

    Raises:
        ProbeError: answers to other prompts, or no answers at all.
    """
    if not path.exists():
        return 0
    lines = path.read_bytes().split(b"\n")[:-1]
    ids = [text.id for text in wanted]
    if [_id_of(line) for line in lines] != ids[: len(lines)]:
        raise ProbeError(
            f"{path} is damaged, or holds answers to other prompts", hint="--fresh starts over"
        )
    return len(lines)


def _id_of(line: bytes) -> str | None:
    try:
        return json.loads(line)["id"]
    except (ValueError, TypeError, KeyError):
        return None


def _cut(path: Path, lines: int) -> None:
    """Leaves so many lines of a file."""
    if path.exists():
        kept = path.read_bytes().split(b"\n")[:lines]
        size = sum(len(line) + 1 for line in kept)
        if size < path.stat().st_size:
            os.truncate(path, size)


def _write(
    job: runner.Job,
    entry: Entry,
    wish: Wish,
    longest: int,
    path: Path,
    done: int,
    folder: Run,
    name: str,
    known: dict[str, Any],
    progress: Progress,
) -> None:
    from mdlm_probe import machine
    from mdlm_probe.engine import Engine

    progress.note(f"loading {entry.name} from {runner.portable(entry.source) or 'memory'}")
    model, batch = models.load(entry, job.load), known.get("batch", {})
    runner.same_weights(entry.name, {"model": model}, known)
    tokens = job.batch_tokens or batch.get("tokens")
    engine = Engine(model, batch_tokens=tokens, held=batch.get("held"))
    # groups are cut by the whole plan, so that a resumed run sends the same batches
    fitting = 1 if progress.watches else max(1, engine.batch_tokens // longest)
    size = batch.get("answers") or fitting
    done -= done % size
    _cut(path, done)
    session = {"started": runner.now(), "machine": machine.facts()}
    sessions = [*known.get("sessions", []), session]
    folder.update(
        name,
        status="started",
        model=runner.facts_of(model),
        batch={**engine.budgets, "answers": size},
        sessions=sessions,
    )
    progress.start(entry.name, len(wish.texts), done)
    try:
        with _appending(path) as file:
            for at in range(done, len(wish.texts), size):
                budgets = engine.budgets
                group = wish.texts[at : at + size]
                found = _answers(engine, wish, group, progress)
                lines = [line_of(entry.name, *pair) for pair in zip(group, found, strict=True)]
                with runner.uninterrupted():
                    file.write("".join(lines).encode())
                    file.flush()
                    os.fsync(file.fileno())
                if engine.budgets != budgets:  # a resumed run sends the same batches
                    folder.update(name, batch={**engine.budgets, "answers": size})
                progress.advance(len(group), 0)
    finally:
        if engine.events:
            folder.update(name, events=[*known.get("events", []), *engine.events])
        runner.free_memory()


@contextmanager
def _appending(path: Path) -> Iterator[Any]:
    try:
        with path.open("ab") as file:
            yield file
    except OSError as error:
        raise unusable(path, error) from error


def _answers(
    engine: Engine, wish: Wish, group: Sequence[Text], progress: Progress
) -> list[answers.Answer]:
    pens = [_Pen(progress, progress.watcher(text, engine, wish.length)) for text in group]
    own = [wish.own(text) for text in group]
    names = [f"prompt '{text.id}'" for text in group]
    return answers.write(engine, group, wish.length, own, names, pens)


class _Pen(Onlooker):
    """Tells of every step, and changes nothing."""

    def __init__(self, progress: Progress, watcher: Intervention | None) -> None:
        self._progress, self._watcher = progress, watcher

    def write(self, step: Step) -> dict[int, int]:
        self._progress.wrote(len(step.chosen))
        if self._watcher:
            self._watcher.write(step)
        return step.chosen


def line_of(model: str, text: Text, answer: answers.Answer) -> str:
    """An answer as a line: with the step that wrote each of its tokens, and its probability."""
    made, size = answer.decoded, len(answer.ids)
    row = {
        "id": text.id,
        "task": text.task,
        "model": model,
        "prompt": text.prompt,
        "answer": answer.text,
        "ended": answer.ended,
        "tokens": size,
        "passes": made.passes,
        "steps": made.steps[:size],
        "logprobs": [round(value, 4) for value in made.logprobs[:size]],
    }
    return json.dumps(row, ensure_ascii=False) + "\n"
