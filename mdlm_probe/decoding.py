"""The unmasking loop: a canvas of masks filled in over several steps.

In each step the network scores the masks that are left, an order strategy chooses which of them are
committed, and each committed mask becomes its most probable token. Facts of the published loops:
arXiv 2502.09992, algorithm 4 (as many masks a step as divide evenly, the remainder first).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from mdlm_probe.queries import Query, Readout

if TYPE_CHECKING:
    import numpy as np

    from mdlm_probe.engine import Counter, Engine

Order = Literal["confidence", "random"]

CANDIDATES = (Readout("top_id"), Readout("top_logprob"))


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a canvas is filled in.

    Attributes:
        steps: steps that its masks are spread over; never more than there are masks.
        order: "confidence" commits the masks whose most probable token is most probable (the
            leftmost among equals), "random" commits any.
        seed: of the random order; "confidence" needs none.
    """

    steps: int = 1
    order: Order = "confidence"
    seed: int = 0


class Reading(NamedTuple):
    """What stood at a watched mask when it was committed.

    Attributes:
        answer: the query's readouts, one array each, [1, ...].
        step: the step that committed it, from 1.
    """

    answer: tuple[np.ndarray, ...]
    step: int


def amounts(masks: int, steps: int) -> list[int]:
    """Masks that each step commits: evenly, the remainder first; no step commits none."""
    base, rest = divmod(masks, steps)
    return [n for n in (base + (step < rest) for step in range(steps)) if n]


class _Canvas:
    """One query's canvas while it is filled in."""

    def __init__(self, query: Query, mask_id: int, first: int, schedule: Schedule) -> None:
        (self.watched,) = query.positions
        self.query, self.ids = query, list(query.ids)
        self.left = [i for i in range(first, len(self.ids)) if self.ids[i] == mask_id]
        self.amounts = amounts(len(self.left), schedule.steps)
        self.random = schedule.order == "random"
        self.step = 0
        self._rng = random.Random(schedule.seed)

    def ask(self) -> Query:
        """The next step's query: the masks among which it may choose, and no others."""
        amount = self.amounts[self.step]
        if amount == len(self.left):  # the last step commits the watched mask whatever it finds
            self.asked = [self.watched]
        else:
            self.asked = self._drawn(amount) if self.random else self.left
        readouts = (*CANDIDATES, *self.query.readouts)
        return Query(tuple(self.ids), tuple(self.asked), readouts, self.query.name)

    def commit(self, found: tuple[np.ndarray, ...]) -> Reading | None:
        """Commits a step's masks; the reading, once the watched mask is among them."""
        amount = self.amounts[self.step]
        if found:
            tops, confidence = found[0], found[1]
            ranked = sorted(range(len(self.asked)), key=lambda i: -confidence[i])
            chosen = {self.asked[i]: int(tops[i]) for i in ranked[:amount]}
        else:  # only counted: any masks, so that the number of steps is a likely one
            chosen = dict.fromkeys(self._drawn(min(amount, len(self.asked))), 0)
        self.step += 1
        if self.watched in chosen or self.asked == [self.watched]:
            at = self.asked.index(self.watched) if found else 0
            return Reading(tuple(array[at : at + 1] for array in found[2:]), self.step)
        for place, token in chosen.items():
            self.ids[place] = token
        self.left = [place for place in self.left if place not in chosen]
        return None

    def _drawn(self, amount: int) -> list[int]:
        return sorted(self._rng.sample(self.left, amount))


def read(
    engine: Engine | Counter, queries: Sequence[Query], schedules: Sequence[Schedule]
) -> list[Reading]:
    """Fills in canvases until each query's one position is committed, and reads it in that step.

    The other masks of that step can't change what is read, so they are left; one step is a plain
    forward pass. A query may ask a causal model, in one step.

    Args:
        engine: a Counter takes the queries of a likely course, and nothing is read.
        queries: each asks one position; the canvas is every mask of its ids that can be predicted.
        schedules: one a query.
    """
    entry = engine.entry
    single = [i for i, schedule in enumerate(schedules) if schedule.steps == 1]
    found = engine.ask([queries[i] for i in single]) if single else []
    readings = {i: Reading(answer, 1) for i, answer in zip(single, found, strict=False)}
    several = {
        i: _Canvas(queries[i], entry.mask_id, entry.shift, schedule)
        for i, schedule in enumerate(schedules)
        if schedule.steps > 1
    }
    counted = not found and bool(single)
    while several:
        found = engine.ask([canvas.ask() for canvas in several.values()])
        counted = counted or not found
        for n, (i, canvas) in enumerate(list(several.items())):
            reading = canvas.commit(found[n] if found else ())
            if reading is not None:
                readings[i] = reading
                del several[i]
    return [] if counted else [readings[i] for i in range(len(queries))]
