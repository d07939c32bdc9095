"""The passes of a decoding that are read: their canvases, and what stands where. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mdlm_probe.decoding.canvas import Decoded
    from mdlm_probe.models._checkpoint import Checkpoint

Kind = Literal["first", "prompt", "written", "end", "mask"]
"""What a position holds: the first token, another one of the prompt, a written one, an end of text
that was written, a mask."""


@dataclass(frozen=True, slots=True)
class StepCanvas:
    """What a network reads in one pass of a decoding.

    Attributes:
        progress: which of the passes read it is, 0 for the first, as a share of all.
        steps_before: before it.
        ids: as far as the active block of block-causal attention ends.
        asked: positions to be predicted: all masks; of causal models the one behind the text.
        queries: positions whose attention is described: all masks; of causal models the last token.
        kinds: of each position.
        begins: of each key, the first query that sees it.
        origin: see `Query.origin`.
    """

    progress: float
    steps_before: int
    ids: tuple[int, ...]
    asked: tuple[int, ...]
    queries: tuple[int, ...]
    kinds: tuple[Kind, ...]
    begins: tuple[int, ...]
    origin: int

    def of(self, *kinds: Kind) -> tuple[int, ...]:
        """The positions of some kinds."""
        return tuple(at for at, kind in enumerate(self.kinds) if kind in kinds)


def read_of(decoded: Decoded, entry: Checkpoint, prompt: int, reads: int) -> list[StepCanvas]:
    """The passes of a decoding that are read, spread evenly, the first among them; each once.

    Args:
        decoded: the text, with its steps.
        entry: the model's.
        prompt: tokens before the window.
        reads: most passes.
    """
    made = max(decoded.steps, default=0)
    shares = {number * made // reads: number / reads for number in reversed(range(reads))}
    found = [_canvas(decoded, entry, prompt, step, shares[step]) for step in sorted(shares)]
    return [canvas for canvas in found if canvas.asked]


def _canvas(
    decoded: Decoded, entry: Checkpoint, prompt: int, step: int, progress: float
) -> StepCanvas:
    origin, ids = decoded.canvas.origin, decoded.at(step)
    asked: tuple[int, ...]
    queries: tuple[int, ...]
    if entry.kind == "causal":
        ids = ids[: prompt + step]
        asked, queries = (len(ids),), (len(ids) - 1,)
    else:
        masks = [place for place in decoded.canvas.places if ids[place] == entry.mask]
        if entry.block and masks:
            ids = ids[: entry.block_span(masks[0], origin)[1]]
        asked = queries = tuple(place for place in masks if place < len(ids))
    kinds = tuple(_kind(entry, prompt, at, token) for at, token in enumerate(ids))
    begins = tuple(_begin(entry, at, origin) for at in range(len(ids)))
    return StepCanvas(progress, step, ids, asked, queries, kinds, begins, origin)


def _kind(entry: Checkpoint, prompt: int, at: int, token: int) -> Kind:
    if at == 0:
        return "first"
    if at < prompt:
        return "prompt"
    if token == entry.mask_id:
        return "mask"
    return "end" if token in entry.eos_ids else "written"


def _begin(entry: Checkpoint, at: int, origin: int) -> int:
    """The first query that sees a key."""
    if entry.attention == "causal":
        return at
    return entry.block_span(at, origin)[0] if entry.block else 0
