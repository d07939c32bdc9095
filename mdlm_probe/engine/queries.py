"""What a probe asks the engine: token ids, the positions asked, and the readouts wanted there.

Plain data without torch, so that probes, plans and help texts load at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from mdlm_probe.models._kv_cache import KVCache

if TYPE_CHECKING:
    from mdlm_probe.models._border import Border
    from mdlm_probe.models._checkpoint import Checkpoint


class Readout(NamedTuple):
    """A reduction of a position's distribution, done on the device: a function of `maths` by name.

    `Readout("entropy")` calls `maths.entropy(rows)`; `Readout("chosen", (5, 7))` calls
    `maths.chosen(rows, 5, 7)`, where rows are log-probabilities [asked, vocabulary].
    """

    name: str
    args: tuple[Any, ...] = ()


class Block(NamedTuple):
    """A reduction of several positions' distributions together, done on the device.

    `Block("mean", (3, 4))` calls `maths.mean(rows)` with the rows of a query's fourth and fifth
    asked positions; `args` follow them. The rows are there at one time: name few places.
    """

    name: str
    places: tuple[int, ...]
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

    Attributes:
        ids: token ids, unpadded.
        positions: asked positions, 0-based. The row handed out for a position scores the token
            *at* that position. Masked models: 0..len(ids)-1. Causal models: 1..len(ids), where
            len(ids) is the token after the end.
        readouts: what to compute at every asked position.
        name: the cell's key, for error messages.
        blocks: what to compute of several asked positions together; answered after the readouts.
        guidance: a second pass without the prompt, or None.
        held: where keys and values are kept for later passes, or None.
        fresh: positions, ascending, whose tokens go through the network in this pass; the keys and
            values of all others are those in `held`. () feeds all. Causal models: exact if all
            before are held. Masked models: an approximation, since what is held was computed for
            another canvas.
    """

    ids: tuple[int, ...]
    positions: tuple[int, ...]
    readouts: tuple[Readout, ...]
    name: str = ""
    blocks: tuple[Block, ...] = ()
    guidance: Guidance | None = None
    held: KVCache | None = None
    fresh: tuple[int, ...] = ()

    @property
    def fed(self) -> int:
        """Tokens that go through the network, once a pass."""
        return len(self.fresh or self.ids) * (1 if self.guidance is None else 2)


class Asker(Protocol):
    """What a query needs to know of an engine."""

    entry: Checkpoint
    border: Border
