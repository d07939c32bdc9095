"""How fast does a marginal flatten far from visible text?

Masks are appended to a prompt, and one forward pass reads the distribution at each of them: how
certain it is, and of what, against the distance to the nearest visible token. Source: "Why mask
diffusion does not work" (arXiv 2510.03289); masses of frequent tokens and of the prompt's as in
arXiv 2509.15188. Ours: the prompts, the bound (see `zipf_bound`), what counts as the far end (the
middle half of the canvas; near its end predictions are others, as a longer canvas shows), that each
prompt is compared with the next one of its task, that prompts end where a token does (see
`canvas_of_prompt`), the law fitted to next tokens (see `zipf_fit`), and the counterpart for causal
models: continuations are sampled, and the model's distributions are averaged over them at each
distance (see `sampled_continuations`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from mdlm_probe.core import options
from mdlm_probe.core.cell_ranges import Cells, cells_of
from mdlm_probe.core.errors import Refusal
from mdlm_probe.decoding import answers
from mdlm_probe.probes.decay import (
    columns,
    distances,
    marginals,
    other_canvases,
    sampled_continuations,
    unigrams,
    zipf_bound,
)
from mdlm_probe.prompts import texts

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._checkpoint import Checkpoint

KINDS = ("masked", "causal")
OBSERVATIONS = columns.OBSERVATIONS


@dataclass(frozen=True, slots=True)
class Cell(marginals.MarginalCell):
    """One prompt with a span of masks; what is compared, and what it is drawn beside."""


def plan(
    *,
    prompts: answers.PromptsOption = "decay",
    lexicon: answers.LexiconOption = "full",
    tasks: answers.TasksOption = ("all",),
    limit: answers.LimitOption = 1000,
    masks: Annotated[int, "masks to append"] = 256,
    context: Annotated[
        texts.Context,
        "visible text: left of the masks only, or its continuation on their right, too",
    ] = "left",
    grid: Annotated[
        tuple[str, ...], "distances to compare: octaves (1,2,3,4,6,8,12,...), all, or numbers"
    ] = ("octaves",),
    lag: Annotated[
        int, "tokens between a mask of the grid and the neighbour it is compared with"
    ] = 1,
    frequent: unigrams.FrequentOption = unigrams.CORPUS,
    frequent_count: Annotated[int, "number of frequent tokens, at most"] = 100,
    ar_sample: Annotated[
        int, "continuations that causal models sample per prompt, 4 or more; 0: none"
    ] = 0,
    seed: Annotated[int, "seed of sampled continuations"] = 0,
    zipf_exponent: zipf_bound.ExponentOption = zipf_bound.EXPONENT,
    zipf_ranks: zipf_bound.RanksOption = zipf_bound.RANKS,
    floor: zipf_bound.FloorOption = None,
    memory_limit: Annotated[
        int, "memory for comparing distributions, in MiB", options.UNCOMPARED
    ] = 64,
) -> Cells[Cell]:
    """The cells: prompts of each task, in the order of their file."""
    counts = {"limit": limit, "masks": masks, "lag": lag, "frequent_count": frequent_count}
    options.check_least(1, **counts, memory_limit=memory_limit)
    options.check_least(0, seed=seed)
    options.check_least(4 if ar_sample else 0, ar_sample=ar_sample)
    zipf_bound.check(zipf_exponent, zipf_ranks, floor)
    distances.grid(grid, masks, context)
    if lag > 1 and lag >= (most := max(distances.distances(masks, context))):
        raise options.wrong("lag", lag, f"less than {most}, the largest distance")
    unigrams.digest(frequent)
    chosen = texts.chosen(texts.load(prompts, lexicon), tasks, limit, context)
    return cells_of(
        Cell,
        (("task", "prompt"), [(text.task, text.id) for text in chosen]),
        prompts=prompts,
        lexicon=lexicon,
        context=context,
        masks=masks,
        frequent=frequent,
        count=frequent_count,
        grid=" ".join(grid),
        lag=lag,
        samples=ar_sample,
        seed=seed,
        exponent=zipf_exponent,
        ranks=zipf_ranks,
        floor=floor,
        memory=memory_limit,
    )


def sources(prompts: str, lexicon: str, frequent: str, **_: Any) -> dict[str, str]:
    """What is read and counted, as hashes: other texts make another measurement."""
    read = {"prompts": texts.digest(prompts, lexicon), "frequent": unigrams.digest(frequent)}
    return read | {"far": f"middle, guard {distances.GUARD}"}


def unwritten(options: Mapping[str, Any], entry: Checkpoint) -> tuple[str, ...]:
    """Columns of samples, of ends that the model's texts don't have, and of theory."""
    sampled = () if entry.kind == "causal" else columns.SAMPLED
    ends = () if entry.eos_ids else columns.ENDS
    return sampled + ends + (() if options["context"] == "left" else columns.THEORY)


def refuse(cell: Cell, entry: Checkpoint) -> str:
    """Why a cell can't be asked of a model; empty if it can."""
    if entry.kind == "causal" and not cell.samples:
        found = "a causal model has no marginals but by sampled continuations: --ar-sample N"
        return Refusal.of(found, "ar_sample")
    if entry.kind == "causal" and cell.context == "both":
        return Refusal.of("a causal model reads nothing on its right: --context left", "context")
    if entry.attention == "block-causal" and cell.context == "both":
        found = "masks don't see a continuation in the blocks after theirs: --context left"
        return Refusal.of(found, "context")
    return ""


def measure(engine: AnyEngine, cells: Sequence[Cell]) -> Iterator[tuple[Cell, marginals.Rows]]:
    """Rows of each mask, each pair of the grid, the far end, its tokens, and other canvases."""
    readings = marginals.readings(engine, cells)
    if engine.entry.kind == "causal":
        prompts = [reading.prompt() for reading in readings]
        found = sampled_continuations.marginals(engine, prompts, cells[0].samples, cells[0].masks)
        nexts = engine.ask([reading.next_token() for reading in readings])
        for cell, reading, sampled, told in zip(cells, readings, found, nexts, strict=True):
            law = reading.zipf_row(told[marginals.distribution(1)])
            places = reading.sampled_rows(engine.border, sampled)
            yield cell, {"places": places, "next-tokens": [law]}
        return
    for cell, (_, rows) in zip(cells, other_canvases.rows(engine, readings), strict=True):
        yield cell, rows
