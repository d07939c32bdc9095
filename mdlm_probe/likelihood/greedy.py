"""Whether greedy decoding would write a continuation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mdlm_probe.engine import multi_step
from mdlm_probe.engine.queries import Guidance, Query, Readout
from mdlm_probe.likelihood.block_passes import Whole, through
from mdlm_probe.likelihood.items import Item
from mdlm_probe.likelihood.parts import parts_of
from mdlm_probe.likelihood.settings import Fill, GreedyOrder

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AskingEngine
    from mdlm_probe.engine.multi_step import MultiStep
    from mdlm_probe.models._checkpoint import Checkpoint

TOP = (Readout("top_id"),)
SUREST = (Readout("top_id"), Readout("top_logprob"))


def is_greedy(
    engine: AskingEngine,
    items: Sequence[Item],
    fill: Fill = "mask",
    order: GreedyOrder = "left_to_right",
    cfg: float = 0.0,
) -> list[bool]:
    """Whether greedy decoding, one token per step, writes each continuation.

    Masked models: as many masks as the continuation has tokens. Block-causal models: masks up to
    the end of each block, or behind the continuation what `fill` says; see `parts_of`. A wrong
    token ends the search.

    Args:
        engine: over any model; a causal one knows one order, and no guidance.
        items: the continuations.
        fill: see `Settings`.
        order: "low_confidence" writes where the most probable token is most probable, the leftmost
            among equals, as LLaDA's harness does.
        cfg: scale of classifier-free guidance.
    """
    if engine.entry.kind == "causal":
        return multi_step.run(engine, [_greedy_causal(item) for item in items])
    search = _greedy if order == "left_to_right" else _surest_first
    begun = []
    for item in items:
        guidance = Guidance(cfg, tuple(range(item.first))) if cfg else None
        way = Whole(engine.entry.origin_after(item.first), guidance)
        begun.append(through(way, search(item, engine.entry, fill)))
    return multi_step.run(engine, begun)


def _greedy_causal(item: Item) -> MultiStep[bool]:
    places = tuple(range(item.first, len(item.ids)))
    (answer,) = yield [Query(item.ids[:-1], places, TOP, item.name)]
    return tuple(answer["top_id"].tolist()) == item.tokens


def _greedy(item: Item, entry: Checkpoint, fill: Fill) -> MultiStep[bool]:
    for part in parts_of(item, entry, fill):
        asked = [part.masked(part.places[n:], entry.mask) for n in range(len(part.places))]
        steps = list(zip(part.places, asked, strict=True))
        if part.read is not None:
            steps.insert(0, (part.read, (*part.ids[: part.read], entry.mask)))
        for place, ids in steps:
            (answer,) = yield [Query(ids, (place,), TOP, item.name)]
            if int(answer["top_id"][0]) != item.ids[place]:
                return False
    return True


def _surest_first(item: Item, entry: Checkpoint, fill: Fill) -> MultiStep[bool]:
    for part in parts_of(item, entry, fill):
        if part.read is not None:
            ids = (*part.ids[: part.read], entry.mask)
            (answer,) = yield [Query(ids, (part.read,), TOP, item.name)]
            if int(answer["top_id"][0]) != item.ids[part.read]:
                return False
        left = list(part.places)
        while left:
            (answer,) = yield [Query(part.masked(left, entry.mask), tuple(left), SUREST, item.name)]
            at = int(np.argmax(answer["top_logprob"]))
            if int(answer["top_id"][at]) != item.ids[left.pop(at)]:
                return False
    return True
