"""Whether greedy decoding would write a continuation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mdlm_probe.engine import multi_step
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.likelihood.items import Item
from mdlm_probe.likelihood.parts import parts_of
from mdlm_probe.likelihood.settings import Fill

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AskingEngine
    from mdlm_probe.engine.multi_step import MultiStep
    from mdlm_probe.models._checkpoint import Checkpoint

TOP = (Readout("top_id"),)


def is_greedy(engine: AskingEngine, items: Sequence[Item], fill: Fill = "mask") -> list[bool]:
    """Whether greedy decoding from left to right, one token per step, writes each continuation.

    Masked models: as many masks as the continuation has tokens. Block-causal models: masks up to
    the end of each block, or behind the continuation what `fill` says; see `parts_of`. A wrong
    token ends the search.
    """
    if engine.entry.kind == "causal":
        begun = [_greedy_causal(item) for item in items]
    else:
        begun = [_greedy(item, engine.entry, fill) for item in items]
    return multi_step.run(engine, begun)


def _greedy_causal(item: Item) -> MultiStep[bool]:
    places = tuple(range(item.first, len(item.ids)))
    (answer,) = yield [Query(item.ids[:-1], places, TOP, item.name)]
    return tuple(answer["top_id"].tolist()) == item.tokens


def _greedy(item: Item, entry: Checkpoint, fill: Fill) -> MultiStep[bool]:
    origin = entry.origin_after(item.first)
    for part in parts_of(item, entry, fill):
        asked = [part.masked(part.places[n:], entry.mask) for n in range(len(part.places))]
        steps = list(zip(part.places, asked, strict=True))
        if part.read is not None:
            steps.insert(0, (part.read, (*part.ids[: part.read], entry.mask)))
        for place, ids in steps:
            (answer,) = yield [Query(ids, (place,), TOP, item.name, origin=origin)]
            if int(answer["top_id"][0]) != item.ids[place]:
                return False
    return True
