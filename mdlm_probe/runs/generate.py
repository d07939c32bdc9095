"""Generation: prompts in, answers out as JSONL, a model at a time; an interrupted run goes on.

A run folder holds `generate__MODEL.jsonl`, a line an answer in the order of the prompts, and
run.json.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from mdlm_probe import models
from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.columns import MODEL, Column
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import unusable
from mdlm_probe.core.options import check
from mdlm_probe.core.run_folder import RunFolder
from mdlm_probe.decoding import answers, canvas_of_prompt
from mdlm_probe.decoding.canvas import Intervention, Observer, Step
from mdlm_probe.decoding.schedule import Cache, Order, Schedule
from mdlm_probe.decoding.schedule import check as check_schedule
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.prompts import texts
from mdlm_probe.prompts.texts import Text, chosen
from mdlm_probe.runs import loaded_models, runner
from mdlm_probe.runs.plan import Job, slug

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
    Column("steps", list, "", "step that wrote each token of the answer, from 1"),
    Column("logprobs", list, "nats", "log-probability of each token when it was written"),
)
"""What a line of the JSONL holds."""


class GenerationProgress(Protocol):
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
    order: Annotated[Order, "which masks of a block a step commits"] = "low_confidence",
    threshold: answers.ThresholdOption = 0.9,
    temperature: answers.TemperatureOption = 0.0,
    guidance: answers.GuidanceOption = 0.0,
    eos: answers.EosOption = "free",
    cache: Annotated[
        Cache, "keys and values kept within a block; other than none: an approximation"
    ] = "none",
    seed: Annotated[int, "seed of random orders and of tokens drawn"] = 0,
) -> GenerationRequest:
    """The prompts, and the schedule of their answers.

    Raises:
        ProbeError: a schedule that no canvas of this length has, or prompts that can't be read.
    """
    check(limit=limit, seed=seed)
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
    check_schedule(length, made)
    if text:
        given = tuple(Text(str(i), "text", one) for i, one in enumerate(text, 1))
        for one in given:
            if not one.prompt.strip() or one.prompt != one.prompt.encode(errors="replace").decode():
                raise ProbeError(
                    f"prompt {one.id} is empty, or not UTF-8", expected="a text to continue"
                )
        return GenerationRequest(given, length, made)
    found = chosen(texts.load(prompts, lexicon), tasks, limit, "left")
    return GenerationRequest(tuple(found), length, made)


def run(job: Job, progress: GenerationProgress) -> Path:
    """Writes the answers that are still missing of a job; returns the JSONL.

    Raises:
        ProbeError: whatever the user can mend; answers written before stay.
    """
    entry = job.load.apply(models.resolve(job.model, job.load.revision))
    options = _options(job, entry)
    wish = plan(**options)
    longest = _longest(job, entry, wish)
    name = f"generate__{slug(entry.name)}"
    texts_hash = hashlib.blake2b(repr(wish.texts).encode(), digest_size=8).hexdigest()
    config = {
        "probe": "generate",
        "model": entry.name,
        "source": loaded_models.portable(loaded_models.place(entry.source)),
        "options": options,
        "sources": {"prompts": texts_hash},
        "load": asdict(job.load),
    }
    with RunFolder.locked(job.output, fresh=job.fresh) as folder:
        path = folder.path(name).with_suffix(".jsonl")
        known = folder.begin(name, {"config": config}, path)
        done = _whole_lines(path, wish.texts)
        if done == len(wish.texts) and known.get("status") == "finished":
            progress.note(f"{path} is finished: nothing to do")
        else:
            _write(job, entry, wish, longest, path, done, folder, name, known, progress)
        folder.update(name, status="finished", ended=runner.now())
    return path


def _options(job: Job, entry: Checkpoint) -> dict[str, Any]:
    known = inspect.signature(plan).parameters
    given = {name: value for name, value in job.options.items() if value not in (None, ())}
    own = {} if {"prompts", "text"} & given.keys() else entry.defaults_for("generate")
    suited = {name: value for name, value in own.items() if name in known}
    return {name: p.default for name, p in known.items()} | suited | given


def _longest(job: Job, entry: Checkpoint, wish: GenerationRequest) -> int:
    """Most tokens of a prompt with its answer, found before any weights are loaded.

    Raises:
        ProbeError: a prompt that leaves no room, or can't be read.
    """
    from mdlm_probe.engine.dry_run import DryRun

    border = models.load_border(entry, job.load)
    counter = DryRun(border.entry, border)
    found = (canvas_of_prompt.span(counter, text, wish.length, "left") for text in wish.texts)
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
        name: str = json.loads(line)["id"]
    except (ValueError, TypeError, KeyError):
        return None
    return name


def _cut(path: Path, lines: int) -> None:
    """Leaves so many lines of a file."""
    if path.exists():
        kept = path.read_bytes().split(b"\n")[:lines]
        size = sum(len(line) + 1 for line in kept)
        if size < path.stat().st_size:
            os.truncate(path, size)


def _write(
    job: Job,
    entry: Checkpoint,
    wish: GenerationRequest,
    longest: int,
    path: Path,
    done: int,
    folder: RunFolder,
    name: str,
    known: dict[str, Any],
    progress: GenerationProgress,
) -> None:
    from mdlm_probe.core import machine
    from mdlm_probe.engine.engine import Engine

    progress.note(f"loading {entry.name} from {loaded_models.portable(entry.source) or 'memory'}")
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
        loaded_models.free_memory()


@contextmanager
def _appending(path: Path) -> Iterator[Any]:
    try:
        with path.open("ab") as file:
            yield file
    except OSError as error:
        raise unusable(path, error) from error


def _answers(
    engine: Engine, wish: GenerationRequest, group: Sequence[Text], progress: GenerationProgress
) -> list[answers.Answer]:
    pens = [_Writer(progress, progress.watcher(text, engine, wish.length)) for text in group]
    own = [wish.own(text) for text in group]
    names = [f"prompt '{text.id}'" for text in group]
    return answers.write(engine, group, wish.length, own, names, pens)


class _Writer(Observer):
    """Tells of every step, and changes nothing."""

    def __init__(self, progress: GenerationProgress, watcher: Intervention | None) -> None:
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


MARKDOWN = {
    "header_count": {f"h{n}": rf"^#{{{n}}}\s" for n in range(1, 7)},
    "list_count": {"ordered": r"^\s*\d+\.\s", "unordered": r"^\s*[-*+]\s"},
    "bold_count": {"**": r"\*\*[^*\n]+\*\*", "__": r"__[^_\n]+__"},
}
"""What its style control counts in an answer, outside blocks of code."""


def write(path: Path, model: str) -> Path:
    """Writes the answers of a JSONL into model_answer/MODEL.jsonl beside it; returns that path.

    `token_len` is by the model's own tokenizer (there: by
    GPT-4o's); `add_markdown_info.py` there counts anew.
    """
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    target = path.parent / "model_answer" / f"{model}.jsonl"
    try:
        target.parent.mkdir(exist_ok=True)
        lines = (json.dumps(_row(row, model), ensure_ascii=False) + "\n" for row in rows)
        target.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise unusable(target, error) from error
    return target


def _row(row: dict[str, Any], model: str) -> dict[str, Any]:
    name = hashlib.blake2b(json.dumps(row, sort_keys=True).encode(), digest_size=11).hexdigest()
    prose = re.sub(r"```[^`]*```", "", row["answer"])
    counts = {
        kind: {part: len(re.findall(found, prose, re.MULTILINE)) for part, found in parts.items()}
        for kind, parts in MARKDOWN.items()
    }
    return {
        "uid": row["id"],
        "ans_id": name,
        "model": model,
        "messages": [
            {"role": "user", "content": row["prompt"]},
            {"role": "assistant", "content": {"answer": row["answer"]}},
        ],
        "tstamp": 0.0,
        "metadata": {"token_len": row["tokens"], **counts},
    }
