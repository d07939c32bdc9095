"""Whether greedy decoding would write a continuation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mdlm_probe.engine import multi_step
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.likelihood.items import Item

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AskingEngine
    from mdlm_probe.engine.multi_step import MultiStep

TOP = (Readout("top_id"),)


def is_greedy(engine: AskingEngine, items: Sequence[Item]) -> list[bool]:
    """Whether greedy decoding from left to right, one token per step, writes each continuation.

    Masked models: as many masks as the continuation has tokens. A wrong token ends the search.
    """
    if engine.entry.kind == "causal":
        begun = [_greedy_causal(item) for item in items]
    else:
        begun = [_greedy(item, engine.entry.mask) for item in items]
    return multi_step.run(engine, begun)


def _greedy_causal(item: Item) -> MultiStep[bool]:
    places = tuple(range(item.first, len(item.ids)))
    (answer,) = yield [Query(item.ids[:-1], places, TOP, item.name)]
    return tuple(answer["top_id"].tolist()) == item.tokens


def _greedy(item: Item, mask_id: int) -> MultiStep[bool]:
    for at, token in enumerate(item.tokens):
        ids = item.ids[: item.first + at] + (mask_id,) * (len(item.tokens) - at)
        (answer,) = yield [Query(ids, (item.first + at,), TOP, item.name)]
        if int(answer["top_id"][0]) != token:
            return False
    return True
