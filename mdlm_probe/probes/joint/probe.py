"""How much is lost when several masks are filled at once?

A masked model gives a marginal for each mask, not a joint (arXiv 2510.03289). `pairs`: how far two
marginals are from a sequential joint, and whether there is one (circulation, arXiv 2605.09303).
`sets`: words that only go together. `orders`: log-likelihood of a text by the chain rule in
different orders (arXiv 2606.00997). `budget`: steps of n masks, most confident first, write tokens;
these are scored by the chain rule, one at a time in commit order, against those of n = 1. `total`:
the total correlation of n masks, with draws in place of the likeliest tokens. Ours: prompts, pair
sets, candidates and their bounds, confidence as an order, the last two measures. No causal models:
they have one joint by construction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from mdlm_probe.core.cell_ranges import Cells, cells_of
from mdlm_probe.core.cells import key
from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.columns import empty
from mdlm_probe.core.options import AMOUNT, Traits, check_least, check_once
from mdlm_probe.decoding import answers
from mdlm_probe.engine import multi_step
from mdlm_probe.engine.multi_step import MultiStep
from mdlm_probe.likelihood.chain_rule import Order
from mdlm_probe.probes.joint import (
    columns,
    incoherent_words,
    pairs_of_masks,
    total_correlation,
    within_block,
    word_pairs,
)
from mdlm_probe.probes.joint import orders as chains
from mdlm_probe.probes.joint.coordinates import Cell
from mdlm_probe.prompts import texts

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._checkpoint import Checkpoint

Rows = list[dict[str, Any]]
KINDS = ("masked",)
Measure = Literal["pairs", "sets", "orders", "budget", "total"]
USUAL: tuple[Measure, ...] = ("pairs", "sets", "orders", "budget")
TOKENS = ("token_first", "token_second", "written")
OBSERVATIONS = columns.OBSERVATIONS


def plan(
    *,
    measure: Annotated[tuple[Measure, ...], "what to measure"] = USUAL,
    masks: Annotated[int, "pairs: masks in the window"] = 16,
    canvas: pairs_of_masks.CanvasOption = "appended",
    spacing: Annotated[
        tuple[int, ...],
        "pairs: distances of the two masks, in tokens; default: those of 1,2,4,8 that fit",
    ] = (),
    anchors: Annotated[int, "pairs: positions of the first mask, spread over the window"] = 4,
    top: Annotated[int, "pairs: candidates per mask"] = 32,
    eps: Annotated[float, "pairs: joint probability below which a pair is unlikely"] = 0.001,
    outcome: pairs_of_masks.OutcomeOption = "top",
    orders: Annotated[
        tuple[Order, ...], "orders: in which a continuation is scored", AMOUNT
    ] = get_args(Order),
    random: Annotated[int, "orders: number of random ones"] = 4,
    length: Annotated[int, "orders, budget, total: tokens to score, write or draw"] = 32,
    budget: Annotated[
        tuple[int, ...],
        "budget: masks committed per step, besides 1; default: those of 1,2,4,8,16,32 that fit",
    ] = (),
    budget_eps: Annotated[float, "budget, total: nats per token that a step may cost"] = 0.1,
    draws: total_correlation.DrawsOption = 8,
    draw_order: total_correlation.DrawOrderOption = total_correlation.ORDERS,
    prompts: answers.PromptsOption = "decay",
    pairs: Annotated[
        str, "sets: pair sets in tasks/, or path to a YAML file of your own", Traits(material=True)
    ] = "pairs",
    lexicon: answers.LexiconOption = "full",
    tasks: answers.TasksOption = ("all",),
    limit: answers.LimitOption = 25,
    seed: Annotated[int, "seed of the random orders, and of the first draw"] = 0,
) -> Cells[Cell]:
    """The cells: measures, texts, settings, in this order."""
    check_once(measure=measure)
    how = {"layout": canvas, "outcome": outcome, "anchors": anchors, "candidates": top}
    settings: dict[str, Callable[[], Rows]] = {  # each checks its own options
        "pairs": lambda: pairs_of_masks.settings(masks, spacing, **how, eps=eps),
        "orders": lambda: chains.order_settings(length, orders, random, seed),
        "budget": lambda: chains.budget_settings(length, budget, budget_eps),
        "total": lambda: total_correlation.settings(length, draw_order, draws, budget_eps, seed),
    }
    cells = Cells[Cell]()
    for name in measure:
        if name == "sets":
            names = [found.name for found in word_pairs.load(pairs, lexicon)]
            where = {"source": pairs, "lexicon": lexicon, "task": "sets"}
            cells += cells_of(Cell, ("prompt", names), measure=name, masks=2, **where)
            continue
        check_least(1, limit=limit)
        own = settings[name]()
        chosen = texts.chosen(texts.load(prompts, lexicon), tasks, limit, "left")
        if name == "orders" or (name == "pairs" and pairs_of_masks.continued(canvas, outcome)):
            chains.check_continued(chosen)
        cells += cells_of(
            Cell,
            (("task", "prompt"), [(text.task, text.id) for text in chosen]),
            (tuple(own[0]), [tuple(setting.values()) for setting in own]),
            measure=name,
            source=prompts,
            lexicon=lexicon,
        )
    return cells


def sources(prompts: str, pairs: str, lexicon: str, **_: Any) -> dict[str, str]:
    """What the cells are made of, as hashes: other files are another measurement."""
    return {"prompts": texts.digest(prompts, lexicon), "pairs": word_pairs.digest(pairs, lexicon)}


suited = within_block.suited


def refuse(cell: Cell, entry: Checkpoint) -> str:
    """Why a cell can't be asked of a model; empty if it can."""
    where = cell.source, cell.lexicon, cell.prompt
    if cell.measure == "sets" and entry.shift and word_pairs.begins_with_slot(*where):
        return f"pair set '{cell.prompt}' begins with a slot: no first token"
    return within_block.refused(cell, entry)


def measure(engine: AnyEngine, cells: Sequence[Cell]) -> Iterator[tuple[Cell, dict[str, Rows]]]:
    """A row for a pair of masks, a pair set, an order, a number of masks in a step or a draw."""
    own = {kind.name: kind.columns for kind in OBSERVATIONS}
    found = multi_step.run(engine, [_rows(engine, cell) for cell in cells])
    for cell, rows in zip(cells, found, strict=True):
        for row in rows:
            row |= {n: engine.border.decode(row[n]) for n in TOKENS if n in row}
        yield cell, {cell.measure: [empty(own[cell.measure]) | row for row in rows]}


def _rows(asker: AnyEngine, cell: Cell) -> MultiStep[Rows]:
    name, where = key(cell), (cell.source, cell.lexicon, cell.prompt)
    if cell.measure == "sets":
        return incoherent_words.mix(asker, word_pairs.find(*where), name)
    text = texts.by_id(cell.source, cell.lexicon)[cell.prompt]
    if cell.measure == "orders":
        return chains.rescore(asker, text, cell.masks, cell.reveal_order, seed_of(cell), name)
    if cell.measure == "budget":
        return chains.rewrite(asker, text, cell.masks, cell.at_once, name)
    if cell.measure == "total":
        order, own = cell.reveal_order, seed_of(cell)
        return total_correlation.draw(asker, text, cell.masks, order, own, name)
    how = cell.outcome, cell.spacing, cell.anchors, cell.candidates, cell.eps
    window = pairs_of_masks.window(cell.masks, cell.layout, *how)
    return pairs_of_masks.sweep(asker, text, window, name)
