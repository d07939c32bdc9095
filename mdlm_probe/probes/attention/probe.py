"""Where does attention go, and does a model need its sinks?

A prompt is continued greedily, and some passes on the way are made once more with attention in the
open: which keys receive far more than an even share (sinks), how far the strongest moves between
passes, and where the masks' attention goes. Then each layer's strongest key is removed, beside
other keys of the same region as control. Source of the question, of what a sink is and of its
removal: arXiv 2510.15731. Ours: even attention as what all is compared with, controls, and how
predictions are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from mdlm_probe.core import options
from mdlm_probe.core.cell_ranges import Cells, cells_of
from mdlm_probe.core.cells import key
from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.columns import Unit
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import answers, canvas_of_prompt, coordinates, schedule
from mdlm_probe.decoding.loop import Continuation, Decoding
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.probes.attention import columns, rows
from mdlm_probe.probes.attention.by_step import AttentionByStep
from mdlm_probe.prompts import texts

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._checkpoint import Checkpoint
    from mdlm_probe.prompts.prompt import Text

KINDS = ("masked", "causal")
OBSERVATIONS = columns.OBSERVATIONS
sources = texts.sources


@dataclass(frozen=True, slots=True)
class Cell(coordinates.PromptCell):
    """One prompt that is continued, and how its passes are read."""

    length: coordinates.Length
    steps: coordinates.Steps
    block: coordinates.BlockSize
    eos: coordinates.EndOfText
    reads: Annotated[int, "most passes of the decoding that are read", Unit("passes")]
    epsilon: Annotated[float, "how much more than an even share of attention makes a sink"]
    controls: Annotated[int, "keys that stand in for each removed one; 0: none is removed"]
    seed: coordinates.Seed


def plan(
    *,
    prompts: answers.PromptsOption = "decay",
    lexicon: answers.LexiconOption = "full",
    tasks: answers.TasksOption = ("all",),
    limit: answers.LimitOption = 25,
    length: Annotated[int, "masks after each prompt, or tokens that a causal model writes"] = 64,
    steps: Annotated[int | None, "unmasking steps; default: one per mask"] = None,
    block: answers.BlockOption = None,
    eos: answers.EosOption = "free",
    reads: Annotated[int, "passes to read, spread over the decoding"] = 6,
    epsilon: Annotated[float, "a sink receives so much more than an even share, 1"] = 3.0,
    controls: Annotated[int, "keys removed in place of each strongest one; 0: none is removed"] = 3,
    seed: Annotated[int, "seed of the controls"] = 0,
) -> Cells[Cell]:
    """The cells: a prompt each."""
    options.check_least(1, limit=limit, reads=reads)
    options.check_least(0, controls=controls, epsilon=epsilon, seed=seed)
    steps = length if steps is None else steps
    block = answers.block_of(block, length, "low_confidence")
    schedule.check(length, Schedule(steps, block, eos=eos))
    chosen = texts.chosen(texts.load(prompts, lexicon), tasks, limit, "left")
    return cells_of(
        Cell,
        (("task", "prompt"), [(text.task, text.id) for text in chosen]),
        prompts=prompts,
        lexicon=lexicon,
        length=length,
        steps=steps,
        block=block,
        eos=eos,
        reads=reads,
        epsilon=epsilon,
        controls=controls,
        seed=seed,
    )


def suited(entry: Checkpoint) -> dict[str, Any]:
    """Block-causal models: their own blocks."""
    return {"block": entry.block} if entry.block else {}


def unwritten(options: Mapping[str, Any], entry: Checkpoint) -> tuple[str, ...]:
    """What no true continuation leaves empty."""
    found = texts.load(options["prompts"], options["lexicon"])
    asked = texts.chosen(found, options["tasks"], options["limit"], "left")
    return () if any(text.continuation for text in asked) else ("truth_lost",)


def refuse(cell: Cell, entry: Checkpoint) -> str:
    """Why a cell can't be asked of a model; empty if it can."""
    if not entry.gradients:
        return f"'{entry.name}' is no network: it has no attention"
    return schedule.unfit(cell.block, "none", entry)


def measure(
    engine: AnyEngine, cells: Sequence[Cell]
) -> Iterator[tuple[Cell, dict[str, list[dict[str, Any]]]]]:
    """Rows of all kinds for every pass that is read."""
    known = {(c.prompts, c.lexicon): texts.load(c.prompts, c.lexicon) for c in cells}
    by_id = {(*where, text.id): text for where, loaded in known.items() for text in loaded}
    asked = [by_id[cell.prompts, cell.lexicon, cell.prompt] for cell in cells]
    works = [_work(engine, cell, text) for cell, text in zip(cells, asked, strict=True)]
    for cell, found in zip(cells, engine.run(works), strict=True):
        yield cell, rows.of(engine, found)


def _work(engine: AnyEngine, cell: Cell, text: Text) -> AttentionByStep:
    """A prompt's decoding; keys and values are kept where that is exact."""
    entry, name = engine.entry, key(cell)
    way = Schedule(cell.steps, cell.block, eos=cell.eos)
    decoding: Decoding | Continuation
    if entry.kind == "causal":
        ids = canvas_of_prompt.span(engine, text, cell.length, "left").ids
        prompt = len(ids)
        decoding = Continuation(ids, cell.length, way, entry, name, engine.has_kv_cache)
    else:
        canvas = answers.canvas_of(engine, text, cell.length, name)
        prompt = canvas.places[0]
        cached = bool(entry.block) and engine.has_kv_cache
        decoding = Decoding(canvas, way, entry, cached=cached)
    truth: tuple[int, ...] = ()
    with suppress(ProbeError):  # too short a continuation, or none
        truth = canvas_of_prompt.continuation_ids(engine, text, cell.length)
    seed = seed_of(cell.seed, cell.prompts, cell.lexicon, cell.prompt)
    read = cell.reads, cell.controls, cell.epsilon
    return AttentionByStep(decoding, entry, name, prompt, *read, seed, truth)
