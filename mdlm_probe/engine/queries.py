"""What a probe asks the engine, and what it is answered: token ids, positions, readouts, arrays.

Plain data without torch, so that probes, plans and help texts load at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from mdlm_probe.models._kv_cache import KVCache

if TYPE_CHECKING:
    from mdlm_probe.models._border import Border
    from mdlm_probe.models._checkpoint import Checkpoint


class Readout(NamedTuple):
    """A reduction of a position's distribution, done on the device: a function of `readouts`.

    `Readout("entropy")` calls `readouts.entropy(rows)`; `Readout("chosen", (5, 7))` calls
    `readouts.chosen(rows, 5, 7)`, where rows are log-probabilities [asked, vocabulary].
    """

    name: str
    args: tuple[Any, ...] = ()


class Block(NamedTuple):
    """A reduction of several positions' distributions together, done on the device.

    `Block("mean", (3, 4))` calls `readouts.mean(rows)` with the rows of a query's fourth and fifth
    asked positions; `args` follow them. The rows are there at one time: name few places.
    """

    name: str
    places: tuple[int, ...]
    args: tuple[Any, ...] = ()


class Attention(NamedTuple):
    """A reduction of each layer's attention weights, done on the device as soon as they are made.

    `Attention("received", ((4, 5),))` calls `attention_readouts.received(weights, (4, 5))` in every
    layer, where weights are [heads, length, length]; answers are [layers, ...].
    """

    name: str
    args: tuple[Any, ...] = ()


class Guidance(NamedTuple):
    """Classifier-free guidance: a second pass doesn't see the prompt, and is moved away from.

    Rows become un + (scale + 1) (cond - un), normalised again; 0 is no guidance.
    Source: arXiv 2502.09992.
    """

    scale: float
    hidden: tuple[int, ...]
    """Positions that are masks in the second pass."""


@dataclass(frozen=True, slots=True)
class Query:
    """One sequence to run through the network.

    Blocks. Under a block-causal model nothing after a block moves it, so keys and values of
    finished blocks are exact, and a block is decoded or scored on a cache of those before it:

        cache = KVCache()
        begin, end = entry.block_span(place, origin)
        # once: all finished blocks are stored; nothing is asked
        Query(ids[:begin], (), (), kv_cache=cache, origin=origin)
        # each step: the block alone goes through the network; the cache stays as it is
        Query(ids[:end], asked, readouts, kv_cache=cache, computed=tuple(range(begin, end)),
              read_only=True, origin=origin)
        # once it is finished: one more pass stores its keys and values
        Query(ids[:end], (), (), kv_cache=cache, computed=tuple(range(begin, end)), origin=origin)

    That last pass may be the next block's first step: with the positions of both computed, and
    something asked of the next one. What it stores of that block is replaced once the block is
    stored; passes that compute it don't look at it. With a shift, the first token of a block is
    scored by the position before it, in a finished block: `computed` has to hold that, too. A
    query ends with the block that it asks of: what stands behind moves nothing.

    Attributes:
        ids: token ids, unpadded.
        positions: asked positions, 0-based. The row handed out for a position scores the token
            *at* that position. Masked models: 0..len(ids)-1. Causal models: 1..len(ids), where
            len(ids) is the token after the end.
        readouts: what to compute at every asked position.
        name: the cell's key, for error messages.
        blocks: what to compute of several asked positions together.
        guidance: a second pass without the prompt, or None.
        kv_cache: where keys and values are kept for later passes, or None.
        computed: positions, ascending, whose tokens go through the network in this pass; the keys
            and values of all others come from `kv_cache`. () computes all. Causal models: exact if
            all before are cached. Block-causal models: exact, see below. Other masked models: an
            approximation, since what is cached was computed for another canvas.
        clean: block-causal models: tokens from position 0 up to the last block in `computed`. The
            blocks that `computed` consists of see these before them, not what stands in `ids`: so
            they are masked independently, and answered in one pass.
        read_only: whether `kv_cache` stays as it is: the keys and values of the computed tokens
            are forgotten. Queries with one cache may then differ and travel together.
        origin: block-causal models: a position p lies in block (p - origin) // block, rounded down;
            0 <= origin < block. See `Checkpoint.origin_after`.
        count_mask: whether the mask's own logit counts where rows are normalised, so that they sum
            to less than one without it. It is never predicted all the same.
        attention: what to read of the weights of attention, of all layers. Networks only, in passes
            that keep and use no cache.
        removed: (layer, position), both from 0: in that layer no token but itself attends to it.
    """

    ids: tuple[int, ...]
    positions: tuple[int, ...]
    readouts: tuple[Readout, ...]
    name: str = ""
    blocks: tuple[Block, ...] = ()
    guidance: Guidance | None = None
    kv_cache: KVCache | None = None
    computed: tuple[int, ...] = ()
    origin: int = 0
    read_only: bool = False
    clean: tuple[int, ...] = ()
    count_mask: bool = False
    attention: tuple[Attention, ...] = ()
    removed: tuple[tuple[int, int], ...] = ()

    @property
    def opens_attention(self) -> bool:
        """Whether its attention is computed in the open: read, or changed."""
        return bool(self.attention or self.removed)

    @property
    def network_tokens(self) -> int:
        """Tokens that go through the network, counted once a pass."""
        own = len(self.computed or self.ids) + len(self.clean)
        return own if self.guidance is None else 2 * own


class Answer(dict[Readout | Block | Attention, np.ndarray]):
    """What was read for a query: an array for each readout, [asked positions, ...], for each block,
    and for each reading of attention, [layers, ...].

    Looked up by the readout itself, or by its name where the query has only one of that name.
    """

    def __getitem__(self, wanted: Readout | Block | Attention | str) -> np.ndarray:
        if not isinstance(wanted, str):
            return super().__getitem__(wanted)
        found = [values for asked, values in self.items() if asked.name == wanted]
        if len(found) != 1:
            raise KeyError(f"{len(found)} readouts named '{wanted}': one is looked up by its name")
        return found[0]

    def part(self, readouts: Iterable[Readout], rows: Sequence[int] | slice) -> Answer:
        """Some readouts at some of the asked positions, by their number in the query."""
        return Answer({readout: self[readout][rows] for readout in readouts})


class Attribution(NamedTuple):
    """What the tokens of a prompt did to the token predicted at the asked position.

    Attributes:
        scores: of each token, float32; see `gradients.attribute`.
        token, logit: the predicted token, and its logit.
        gap: how far integrated gradients are from summing to what they should; else None.
    """

    scores: np.ndarray
    token: int
    logit: float
    gap: float | None


class Asker(Protocol):
    """What a query needs to know of an engine."""

    entry: Checkpoint
    border: Border
