"""What does keeping keys and values between steps change?

Each prompt is answered exactly, and with keys and values kept while a block is filled in: those
left of it (prefix), or those on both sides (dual), as in Fast-dLLM (arXiv 2505.22618). Under
bidirectional attention that is an approximation. The canvases of the cached decoding are asked once
more with nothing kept (see reuse.py). Ours: the comparison and its measures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mdlm_probe.core import options
from mdlm_probe.core.cell_ranges import Cells, cells_of
from mdlm_probe.core.cells import key
from mdlm_probe.decoding import answers, rule_options, rules, text_metrics
from mdlm_probe.decoding import schedule as ways
from mdlm_probe.decoding.answers import Answer
from mdlm_probe.decoding.presets import PresetOption
from mdlm_probe.decoding.rules import DREAM_EPS, Order, RuleSettings
from mdlm_probe.probes.cache import cache_error, columns
from mdlm_probe.probes.cache.cache_error import CachedDecoding, CacheError
from mdlm_probe.probes.cache.coordinates import Cell
from mdlm_probe.prompts import texts

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._checkpoint import Checkpoint

KINDS = ("masked",)
sources = texts.sources
OBSERVATIONS = columns.OBSERVATIONS


def plan(
    *,
    cache: Annotated[
        tuple[Literal["prefix", "dual"], ...],
        "which are kept: those left of a block (prefix), or on both sides (dual)",
    ] = ("prefix", "dual"),
    prompts: answers.PromptsOption = "open",
    lexicon: answers.LexiconOption = "full",
    tasks: answers.TasksOption = ("all",),
    limit: answers.LimitOption = 1000,
    length: Annotated[int, "masks after the prompt"] = 256,
    block: Annotated[tuple[int, ...], "masks per block; 0: a single block"] = (32,),
    steps: Annotated[int | None, "unmasking steps per answer; default: one per mask"] = None,
    order: Annotated[Order, "which masks of a block a step commits"] = "low_confidence",
    threshold: answers.ThresholdOption = 0.9,
    temperature: answers.TemperatureOption = 0.0,
    eos: answers.EosOption = "free",
    top_p: rule_options.TopPOption = 1.0,
    top_k: rule_options.TopKOption = 0,
    alg_temp: rule_options.AlgTempOption = 0.0,
    eps: rule_options.EpsOption = DREAM_EPS,
    factor: rule_options.FactorOption = 1.0,
    entropy_bound: rule_options.EntropyBoundOption = 0.35,
    last_block: rule_options.LastBlockOption = "whole",
    preset: PresetOption = "auto",
    seed: Annotated[int, "seed of random orders and sampled tokens"] = 0,
) -> Cells[Cell]:
    """The cells: prompts of each task, blocks, caches, in this order."""
    settings = RuleSettings.of(locals())
    options.check_least(1, limit=limit, length=length)
    options.check_least(0, block=tuple(block))
    blocks = tuple(size or length for size in block)
    options.check_once(cache=tuple(cache), block=blocks)
    steps = length if steps is None else steps
    chosen = texts.chosen(texts.load(prompts, lexicon), tasks, limit, "left")
    axes = (("task", "prompt"), [(t.task, t.id) for t in chosen]), ("block", blocks)
    alike = {"prompts": prompts, "lexicon": lexicon, "length": length, "steps": steps}
    alike |= {
        "order": rules.joined(order, settings),
        "threshold": threshold,
        "temperature": temperature,
    }
    cells = cells_of(Cell, *axes, ("cache", cache), **alike, eos=eos, seed=seed)
    for cell in cells[: len(blocks) * len(cache)]:
        ways.check(length, cell.schedule())
    return cells


def refuse(cell: Cell, entry: Checkpoint) -> str:
    """Why a cell can't be asked of a model; empty if it can."""
    if not entry.gradients:
        return f"'{entry.name}' is no network: no keys and values to keep"
    return ways.unfit(cell.block, cell.cache, entry)


def measure(
    engine: AnyEngine, cells: Sequence[Cell]
) -> Iterator[tuple[Cell, dict[str, list[dict[str, Any]]]]]:
    """A row for the answer, and one for each number of steps since a block began."""
    known = {(c.prompts, c.lexicon): texts.load(c.prompts, c.lexicon) for c in cells}
    by_id = {(*where, text.id): text for where, loaded in known.items() for text in loaded}
    canvases = [
        answers.canvas_of(
            engine,
            by_id[c.prompts, c.lexicon, c.prompt],
            c.length,
            key(c),
            rules.last_block(c.order),
        )
        for c in cells
    ]
    found = cache_error.compare(engine, canvases, [cell.schedule() for cell in cells])
    for cell, (decoded, followed) in zip(cells, found, strict=True):
        exact, ours = (
            answers.answer_of(engine.border, engine.entry, d) for d in (decoded, followed.decoded)
        )
        answer = _answer(exact, ours, followed)
        yield cell, {"answers": [answer], "steps": list(map(_since, followed.errors))}


def _answer(exact: Answer, ours: Answer, followed: CachedDecoding) -> dict[str, Any]:
    differ = [a != b for a, b in zip_longest(exact.ids, ours.ids)]
    first, second = exact.decoded, followed.decoded
    found: dict[str, Any] = {"passes": second.passes, "passes_exact": first.passes}
    found |= {"fed": second.network_tokens, "fed_exact": first.network_tokens}
    found |= {"answer_tokens": len(ours.ids), "answer_tokens_exact": len(exact.ids)}
    found |= {"edit_distance": text_metrics.edit_distance(exact.ids, ours.ids)}
    found |= {"divergence": text_metrics.divergence(exact.ids, ours.ids)}
    found |= {"differ": sum(differ) / max(1, len(differ))}
    return found | {"answer": ours.text, "answer_exact": exact.text}


def _since(error: CacheError) -> dict[str, Any]:
    return {
        "since": error.since,
        "compared_passes": error.passes,
        "masks_asked": error.masks,
        "committed": error.committed,
        "same_top": error.same_top / error.masks,
        "dlogp_mean": error.gap / error.masks,
        "dlogp_max": error.gap_max,
        "same_choice": error.same_choice / error.committed,
        "same_commit": error.same_commit / error.committed,
    }
