"""How far rows from kept keys and values are from those of a whole pass. No torch.

Under bidirectional attention keys and values depend on the whole canvas: those kept from an earlier
step are an approximation (arXiv 2505.22618, 2505.15781). Here the canvases of a cached decoding are
asked a second time, with nothing kept. How the two are compared is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mdlm_probe.decoding.canvas import Canvas, Decoded, Observer, Step
from mdlm_probe.decoding.loop import Decoding, decode
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine import multi_step
from mdlm_probe.engine.multi_step import MultiStep, Pass
from mdlm_probe.engine.queries import Answer, Query, Readout

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._checkpoint import Checkpoint

TOP = (Readout("top_id"), Readout("top_logprob"))


@dataclass(slots=True)
class CacheError:
    """The passes that were made so many steps after a block began, added up.

    Attributes:
        since: steps since keys and values were computed anew, for the whole canvas; in pass 0 they
            are, and nothing but rounding may differ.
        passes: that were compared.
        masks: asked in them.
        same_top: of these, masks whose most probable token is the exact one.
        gap: differences of the log-probability of the exact most probable token, absolute, summed
            over masks, in nats.
        gap_max: the largest of them.
        committed: masks that were committed.
        same_choice: of these, masks that the exact rows would have committed, too.
        same_commit: of these, masks into which they would have written the same token.
    """

    since: int
    passes: int = 0
    masks: int = 0
    same_top: int = 0
    gap: float = 0.0
    gap_max: float = 0.0
    committed: int = 0
    same_choice: int = 0
    same_commit: int = 0

    def add(self, gaps: np.ndarray, same: np.ndarray, ours: Tokens, theirs: Tokens) -> None:
        """Adds a pass: its masks [asked], and the tokens committed by cached and exact rows."""
        both = ours.keys() & theirs.keys()
        self.passes += 1
        self.masks += len(gaps)
        self.same_top += int(same.sum())
        self.gap += float(gaps.sum())
        self.gap_max = max(self.gap_max, float(gaps.max()))
        self.committed += len(ours)
        self.same_choice += len(both)
        self.same_commit += sum(ours[at] == theirs[at] for at in both)


Tokens = dict[int, int]
"""What a step writes, by position."""


@dataclass(frozen=True)
class CachedDecoding:
    """A canvas filled in from kept keys and values.

    Attributes:
        decoded: the canvas.
        errors: of its passes, by the steps since their block began.
    """

    decoded: Decoded
    errors: tuple[CacheError, ...]


class _Recorder(Observer):
    """Keeps what a step commits, and changes nothing."""

    def __init__(self, canvas: Canvas) -> None:
        self._places = canvas.places
        self.chosen: Tokens = {}

    def write(self, step: Step) -> Tokens:
        self.chosen = {self._places[mask]: token for mask, token in step.chosen.items()}
        return step.chosen


def follow(canvas: Canvas, schedule: Schedule, entry: Checkpoint) -> MultiStep[CachedDecoding]:
    """Fills in a canvas as `decode` does, and asks for the exact rows in each of its steps.

    A step is two calls: the exact rows first, since their most probable tokens are looked up in the
    cached ones.

    Args:
        canvas, entry: as for `decode`.
        schedule: one that keeps keys and values.
    """
    watch = _Recorder(canvas)
    decoding = decode(canvas, schedule, entry, watch)
    (query,) = next(decoding)
    errors: dict[int, CacheError] = {}
    since = 0
    while True:
        if query.readouts[0].name != "candidates":  # a finished block is kept: nothing is chosen
            kept = yield [query]
            (query,) = decoding.send(kept)
            continue
        since = since + 1 if query.computed else 0
        whole = replace(query, readouts=query.readouts + TOP, kv_cache=None, computed=())
        (exact,) = yield [whole]
        own = _own(query, exact["top_id"])
        (cached,) = yield [replace(query, readouts=(*query.readouts, TOP[0], own))]
        asked, decoded = query.positions, None
        try:
            (query,) = decoding.send([cached])
        except StopIteration as stop:
            decoded = stop.value
        gaps = np.abs(cached[own] - exact["top_logprob"])
        same = cached["top_id"] == exact["top_id"]
        theirs = committed(asked, exact["candidates"], schedule, len(watch.chosen))
        errors.setdefault(since, CacheError(since)).add(gaps, same, watch.chosen, theirs)
        if decoded is not None:
            return CachedDecoding(decoded, tuple(errors[since] for since in sorted(errors)))


def _own(query: Query, tokens: np.ndarray) -> Readout:
    """Asks for the log-probability of a token of its own at each asked position."""
    at = dict(zip(query.positions, tokens.tolist(), strict=True))
    first, last = min(at), max(at)
    return Readout("own", (first, *(at.get(place, 0) for place in range(first, last + 1))))


def committed(
    asked: Sequence[int], candidates: np.ndarray, schedule: Schedule, amount: int
) -> Tokens:
    """What a step writes by these candidates: `decode`'s rule, on rows that it didn't see.

    Args:
        asked: positions.
        candidates: token, its log-probability, its confidence; [asked, 3].
        schedule: its order decides.
        amount: masks to commit; "threshold" takes those above the threshold, one at least.
    """
    chosen = schedule.chosen(candidates[:, 2].tolist(), amount)
    return {asked[at]: int(candidates[at, 0]) for at in chosen}


# ---------------------------------------------------------------------- many at once


Compared = tuple[Decoded, CachedDecoding]
"""A canvas filled in exactly, and from kept keys and values."""


@dataclass(frozen=True)
class Comparison:
    """A canvas to be filled in both ways, as work for an engine.

    As long as both write the same, the whole pass of a step serves both.
    """

    canvas: Canvas
    schedule: Schedule
    entry: Checkpoint

    @property
    def kv_cache_tokens(self) -> int:
        """All of the canvas."""
        return len(self.canvas.ids)

    def steps(self) -> MultiStep[Compared]:
        """Fills the canvas in."""
        return self._both(self.schedule)

    def brief(self) -> MultiStep[Compared]:
        """Fills it in at once."""
        return self._both(self.schedule.brief())

    def passes(self) -> list[list[Pass]]:
        """Of each step: the exact decoding and the exact rows of the cached one, then the cached
        ones; all as if nothing were kept.
        """
        whole = Decoding(self.canvas, self.schedule, self.entry).passes()
        return [passes for (own,) in whole for passes in ([own, own], [own])]

    def _both(self, schedule: Schedule) -> MultiStep[Compared]:
        exact = replace(schedule, cache="none")
        whole = _paced(decode(self.canvas, exact, self.entry))
        return (yield from multi_step.both(whole, follow(self.canvas, schedule, self.entry)))


def compare(
    engine: AnyEngine, canvases: Sequence[Canvas], schedules: Sequence[Schedule]
) -> list[Compared]:
    """Fills in canvases exactly and from kept keys and values, side by side.

    Args:
        engine: over a masked model that can keep keys and values.
        canvases, schedules: one of each a comparison; schedules keep keys and values.
    """
    pairs = zip(canvases, schedules, strict=True)
    return engine.run([Comparison(*pair, engine.entry) for pair in pairs])


def _paced(decoding: MultiStep[Decoded]) -> MultiStep[Decoded]:
    """A decoding in the pace of `follow`: every second call it asks for nothing."""
    answers: list[Answer] | None = None
    while True:
        try:
            queries = next(decoding) if answers is None else decoding.send(answers)
        except StopIteration as stop:
            decoded: Decoded = stop.value
            return decoded
        answers = yield queries
        yield []
