"""Does an answer depend on how many masks it is written in?

The same prompts are answered on canvases of several lengths. Models that were trained on answers
filled up with ends of text may put so much mass on them, and commit them so early, that a longer
canvas gives a shorter answer, or none: "EOS overflow" (arXiv 2510.03680; LLaDA-8B-Instruct on MATH:
17.1 % right on a canvas of 128, 2.9 % on 256). So beside what is right stand the mass on ends of
text over the canvas before anything is written, what the first step commits of them, and how long
the answer is. A causal model ends where it ends: it is the reference. Ours: the prompts, the rule
by which an answer is right (see `first_sentence`), and a number of masks per step, not of steps, so
that a longer canvas isn't written in larger steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from mdlm_probe.core import options
from mdlm_probe.core.cell_ranges import Cells, cells_of
from mdlm_probe.core.cells import key
from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import Refusal
from mdlm_probe.decoding import answers, coordinates
from mdlm_probe.decoding.canvas_of_prompt import in_tokens
from mdlm_probe.decoding.rules import Order
from mdlm_probe.decoding.schedule import Schedule, check, unfit
from mdlm_probe.probes.canvas import columns
from mdlm_probe.probes.canvas.first_sentence import holds
from mdlm_probe.probes.canvas.first_step import EndWatcher
from mdlm_probe.prompts import texts

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._checkpoint import Checkpoint

KINDS = ("masked", "causal")
COLUMNS = columns.COLUMNS
sources = texts.sources


@dataclass(frozen=True, slots=True)
class Cell(coordinates.PromptCell):
    """One prompt, and the canvas that its answer is written in."""

    length: coordinates.Length
    block: coordinates.BlockSize
    steps: coordinates.Steps
    order: coordinates.CommitOrder
    threshold: coordinates.Threshold
    temperature: coordinates.Temperature
    eos: coordinates.EndOfText
    seed: coordinates.Seed

    def schedule(self) -> Schedule:
        """As the loop takes it, to the last mask; the same random numbers at every length."""
        seed = seed_of("canvas", self.prompt, self.seed)
        return coordinates.schedule_of(self, seed, stop=False)


def plan(
    *,
    prompts: answers.PromptsOption = texts.RECALL,
    lexicon: answers.LexiconOption = "full",
    tasks: answers.TasksOption = ("all",),
    limit: answers.LimitOption = 1000,
    length: Annotated[
        tuple[int, ...], "masks of a canvas; of causal models the most tokens of an answer"
    ] = (8, 16, 32, 64, 128, 256),
    at_once: Annotated[int, "masks per step, at every length"] = 1,
    block: Annotated[
        int, "masks per block, filled from left to right; 0: the canvas is one block"
    ] = 0,
    order: Annotated[Order, "which masks of a block a step commits"] = "low_confidence",
    threshold: answers.ThresholdOption = 0.9,
    temperature: answers.TemperatureOption = 0.0,
    eos: answers.EosOption = "free",
    seed: Annotated[int, "seed of random orders and sampled tokens"] = 0,
) -> Cells[Cell]:
    """The cells: every prompt on every canvas."""
    options.check_least(1, limit=limit, length=length, at_once=at_once)
    options.check_least(0, block=block, seed=seed)
    options.check_once(length=length)
    shapes = []
    for size in length:
        own = min(block or size, size)
        steps = max(-(-size // at_once), size // own)
        check(size, Schedule(steps, own, order, threshold, temperature, eos=eos))
        shapes.append((size, own, steps))
    chosen = texts.chosen(texts.load(prompts, lexicon), tasks, limit, "left")
    return cells_of(
        Cell,
        (("task", "prompt"), [(text.task, text.id) for text in chosen]),
        (("length", "block", "steps"), shapes),
        prompts=prompts,
        lexicon=lexicon,
        order=order,
        threshold=threshold,
        temperature=temperature,
        eos=eos,
        seed=seed,
    )


def unwritten(options: Mapping[str, Any], entry: Checkpoint) -> tuple[str, ...]:
    """Columns that a run can't fill: of right answers where none is known, of causal models'
    canvases.
    """
    found = texts.load(options["prompts"], options["lexicon"])
    asked = texts.chosen(found, options["tasks"], options["limit"], "left")
    known = any(text.answer for text in asked)
    left = () if known else columns.FOUND_NAMES
    return (*left, *columns.CANVAS_NAMES) if entry.kind == "causal" else left


def refuse(cell: Cell, entry: Checkpoint) -> str:
    """Why a cell can't be asked of a model; empty if it can."""
    if cell.prompts == texts.RECALL and not entry.gradients:
        found = (
            f"--prompts {cell.prompts}: '{entry.name}' knows no end of text and no fact told twice"
        )
        return Refusal.of(found, "prompts")
    if cell.length >= entry.context:
        found = f"--length {cell.length} leaves no room for a prompt in a context of"
        return Refusal.of(f"{found} {entry.context}", "length")
    return unfit(0 if cell.block == cell.length else cell.block, "none", entry)


def measure(
    engine: AnyEngine, cells: Sequence[Cell]
) -> Iterator[tuple[Cell, list[dict[str, Any]]]]:
    """One row per cell: the answer, and what the first step says of its end."""
    known = {at: texts.by_id(*at) for at in {(cell.prompts, cell.lexicon) for cell in cells}}
    asked = [in_tokens(engine, known[cell.prompts, cell.lexicon][cell.prompt]) for cell in cells]
    causal = engine.entry.kind == "causal"
    schedules, names = [cell.schedule() for cell in cells], [key(cell) for cell in cells]
    lengths, watchers = [cell.length for cell in cells], [EndWatcher(engine.entry) for _ in cells]
    written = answers.write(
        engine, asked, lengths, schedules, names, watchers=() if causal else watchers
    )
    for cell, text, answer, watcher in zip(cells, asked, written, watchers, strict=True):
        row = {"answer": answer.text, "answer_tokens": len(answer.ids), "ended": answer.ended}
        row |= {"right": text.answer or None, "passes": answer.decoded.passes}
        row["in_first_sentence"] = holds(answer.text, text.answer) if text.answer else None
        yield cell, [row if causal else row | watcher.columns(answer)]
