"""The passes of one item under a masked model: its parts, and the way to answers about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from mdlm_probe.engine import multi_step
from mdlm_probe.engine.queries import Guidance, Query, Readout
from mdlm_probe.likelihood.block_passes import Contexts, Way, Whole, cheapest, through, waves
from mdlm_probe.likelihood.items import Item
from mdlm_probe.likelihood.mask_sets import MaskSet
from mdlm_probe.likelihood.parts import Part, estimator_of, followed, parts_of
from mdlm_probe.likelihood.settings import Settings

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AskingEngine
    from mdlm_probe.engine.multi_step import MultiStep

AT_ONCE = 2**22
"""Tokens of queries that are written out at a time."""

Found = TypeVar("Found")


class ItemPasses:
    """How one item is asked about.

    Args:
        engine: over a masked model.
        item: what is scored.
        settings: of the estimate.
        contexts: keys and values of contexts that items share, added to.

    Attributes:
        parts: what is masked together, from left to right.
        estimator: one for all parts.
        blocks: whether parts are blocks.
    """

    def __init__(
        self, engine: AskingEngine, item: Item, settings: Settings, contexts: Contexts
    ) -> None:
        self.mask_id, self.blocks = engine.entry.mask, engine.entry.block > 0
        if settings.estimator == "dream":
            self.item, self.parts = followed(item, engine.entry)
        else:
            self.item, self.parts = item, parts_of(item, engine.entry, settings.fill)
        item = self.item
        self.estimator = estimator_of(self.parts, settings)
        self._passes = [part.passes(settings, self.estimator) for part in self.parts]
        guidance = Guidance(settings.cfg, tuple(range(item.first))) if settings.cfg else None
        self._way: Way = Whole(engine.entry.origin_after(item.first), guidance, settings.count_mask)
        if engine.entry.block and guidance is None and not settings.count_mask:
            self._way = cheapest(engine, item, self.parts, self._passes, contexts)
        self._own = Readout("own", (item.first, *item.tokens))
        self._begun = False

    def of_parts(self, work: Callable[[int], MultiStep[Found]]) -> MultiStep[list[Found]]:
        """What the same work gives for each part, told its number; several at a time."""
        if not self._begun:
            yield from self._way.begin()
            self._begun = True
        found: list[Found] = []
        for wave in waves(self.parts, self._passes, AT_ONCE):
            begun = [work(number) for number in range(len(self.parts))[wave]]
            found += yield from through(self._way, multi_step.side_by_side(begun))
        return found

    def named(self, name: str) -> str:
        """An estimator's name as results have it."""
        return f"block-{name}" if self.blocks and name != "exact" else name

    def read(self, part: Part) -> MultiStep[float]:
        """The log-probability of a token that is scored by what stands before its block, or 0."""
        if part.read is None:
            return 0.0
        ids = (*part.ids[: part.read], self.mask_id)
        (answer,) = yield [Query(ids, (part.read,), (self._own,), self.item.name)]
        return float(answer["own"][0])

    def masked(self, part: Part, sets: Sequence[MaskSet]) -> MultiStep[list[float]]:
        """Of every mask set, the sum of its tokens' log-probabilities, times its weight."""
        queries = []
        for one in (one for one in sets if one.places):
            asked = tuple(part.places[place] for place in one.places)
            ids = part.masked(asked, self.mask_id)
            queries.append(Query(ids, asked, (self._own,), self.item.name))
        answers = iter((yield queries))
        return [
            one.weight * float(next(answers)["own"].sum(dtype=float)) if one.places else 0.0
            for one in sets
        ]
