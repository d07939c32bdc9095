"""Parts of a continuation that are masked together: all of it, or what lies in one block. No torch.

Under block-causal attention log p(text) is the sum over blocks of log p(block | blocks before it),
each with all blocks before it clean. What stands behind the continuation in its last block is seen,
so it is a part of what is estimated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.likelihood.items import Item
from mdlm_probe.likelihood.settings import DRAWN, Fill, Settings
from mdlm_probe.models._checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Part:
    """What is masked together.

    Attributes:
        ids: the text up to the part's end, without masks in it, and what stands behind its tokens.
        places: positions of the tokens that are masked and scored.
        begin: first position of its block; 0 without blocks.
        read: position of a token that is scored by what stands before its block alone, in one pass,
            and is never masked for the others: with a shift, the first of a block. None: there is
            none.
    """

    ids: tuple[int, ...]
    places: tuple[int, ...]
    begin: int = 0
    read: int | None = None

    def masked(self, places: Iterable[int], mask_id: int) -> tuple[int, ...]:
        """The ids with masks at these positions."""
        ids = list(self.ids)
        for place in places:
            ids[place] = mask_id
        return tuple(ids)

    def passes(self, settings: Settings, estimator: str) -> int:
        """Passes that it takes, at most."""
        count = len(self.places)
        if estimator in DRAWN:
            most = settings.draws
            count = min(most, 2 ** min(count, 64) - 1) if estimator == "mc" or not count else most
        return count + (self.read is not None)


def parts_of(item: Item, entry: Checkpoint, fill: Fill) -> list[Part]:
    """A continuation's parts, from left to right.

    Args:
        item: context and continuation; the context is the prompt, where blocks begin behind it.
        entry: of a masked model.
        fill: what stands behind the continuation in its last block: its masks, as decoding sees it;
            ends of text, as some models are trained; nothing. No farther than the context reaches.

    Raises:
        ProbeError: ends of text are wanted, and the model has none.
    """
    whole = tuple(range(item.first, len(item.ids)))
    return list(_blocks(item, entry, fill)) if entry.block else [Part(item.ids, whole)]


def _blocks(item: Item, entry: Checkpoint, fill: Fill) -> Iterator[Part]:
    origin, length = entry.origin_after(item.first), len(item.ids)
    at = item.first
    while at < length:
        begin, end = entry.block_span(at, origin)
        behind = max(0, min(end, entry.context) - length)
        ids = item.ids[:end] + filling(entry, fill) * behind
        places = tuple(range(at, min(end, length)))
        read = begin if entry.shift and at == begin else None
        yield Part(ids, places[read is not None :], begin, read)
        at = end


def followed(item: Item, entry: Checkpoint) -> tuple[Item, list[Part]]:
    """A continuation with an end of text behind it that is seen, as Dream's harness appends one.

    Where the context has no room for it, the text's first token is left away, as there.

    Raises:
        ProbeError: the model has no end of text, or is block-causal: Dream isn't.
    """
    if not entry.eos_ids or entry.block:
        found = "is block-causal" if entry.block else "has no token that ends a text"
        raise ProbeError(
            f"'{entry.name}' {found}, and Dream's estimator shows an end of text behind all",
            expected="--estimator mc",
            option="estimator",
        )
    if len(item.ids) >= entry.context and item.first > 1:
        item = replace(item, ids=item.ids[1:], first=item.first - 1)
    whole = tuple(range(item.first, len(item.ids)))
    return item, [Part(item.ids + entry.eos_ids[:1], whole)]


def filling(entry: Checkpoint, fill: Fill) -> tuple[int, ...]:
    """The token that stands behind a continuation in its last block, or none.

    Raises:
        ProbeError: an end of text, of which the model has none.
    """
    if fill == "eos" and not entry.eos_ids:
        raise ProbeError(
            f"'{entry.name}' has no token that ends a text to fill a block with",
            expected="--fill mask or --fill cut",
            option="fill",
        )
    return {"mask": (entry.mask,), "eos": entry.eos_ids[:1], "cut": ()}[fill]


def estimator_of(parts: list[Part], settings: Settings) -> str:
    """The estimator of a continuation, by its largest part: one for all of its blocks."""
    return settings.estimator_of(max(len(part.places) for part in parts))
