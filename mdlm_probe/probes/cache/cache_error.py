"""Reuse: how far rows from kept keys and values are from those of a whole pass. No torch.

Under bidirectional attention keys and values depend on the whole canvas: those kept from an earlier
step are an approximation (arXiv 2505.22618, 2505.15781). Here the canvases of a cached course are
asked a second time, with nothing kept. How the two are compared is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mdlm_probe.decoding.canvas import Canvas, Decoded, Observer, Step
from mdlm_probe.decoding.loop import decode, in_waves
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine import multi_step
from mdlm_probe.engine.multi_step import MultiStep
from mdlm_probe.engine.queries import Query, Readout

if TYPE_CHECKING:
    from mdlm_probe.engine.dry_run import DryRun
    from mdlm_probe.engine.engine import Answer, Engine
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
    course = decode(canvas, schedule, entry, watch)
    (query,) = next(course)
    errors: dict[int, CacheError] = {}
    since = 0
    while True:
        since = since + 1 if query.fresh else 0
        (exact,) = yield [replace(query, readouts=query.readouts + TOP, held=None, fresh=())]
        looked_up = (TOP[0], _own(query, exact[1]))
        (cached,) = yield [replace(query, readouts=query.readouts + looked_up)]
        asked, decoded = query.positions, None
        try:
            (query,) = course.send([cached[:1]])
        except StopIteration as stop:
            decoded = stop.value
        gaps, same = np.abs(cached[2] - exact[2]), cached[1] == exact[1]
        theirs = committed(asked, exact[0], schedule, len(watch.chosen))
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


def compare(
    engine: Engine | DryRun, canvases: Sequence[Canvas], schedules: Sequence[Schedule]
) -> list[tuple[Decoded, CachedDecoding]]:
    """Fills in canvases exactly and from kept keys and values, side by side.

    As long as both write the same, the whole pass of a step serves both.

    Args:
        engine: a Counter takes the passes of whole canvases, as if nothing were kept, and nothing
            is found.
        canvases, schedules: one of each a comparison; schedules keep keys and values.
    """
    begun = [
        multi_step.side_by_side(
            [
                _paced(decode(canvas, replace(schedule, cache="none"), engine.entry)),
                follow(canvas, schedule, engine.entry),
            ]
        )
        for canvas, schedule in zip(canvases, schedules, strict=True)
    ]
    if hasattr(engine, "repeat"):
        first = [query for course in begun for query in next(course)]
        made = [s.made(len(c.places)) for c, s in zip(canvases, schedules, strict=True)]
        engine.ask(first)
        # the exact course, the exact rows of the cached one, and the cached ones
        engine.repeat(first, [n - 1 for n in made for _ in range(2)])
        engine.repeat(first[::2], made)
        return []
    return [tuple(both) for both in in_waves(engine, begun, [len(c.ids) for c in canvases])]


def _paced(course: MultiStep[Decoded]) -> MultiStep[Decoded]:
    """A course in the pace of `follow`: every second call it asks for nothing."""
    answers: list[Answer] | None = None
    while True:
        try:
            queries = course.send(answers)
        except StopIteration as stop:
            return stop.value
        answers = yield queries
        yield []
