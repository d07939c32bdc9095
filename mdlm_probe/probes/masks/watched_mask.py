"""What stands at one mask in the step of the decoding loop that commits it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from mdlm_probe.decoding.canvas import Canvas, Step
from mdlm_probe.decoding.loop import decode
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine import multi_step
from mdlm_probe.engine.queries import Answer, Query, Readout

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._checkpoint import Checkpoint


class WatchedMask(NamedTuple):
    """What stood at a watched mask when it was committed.

    Attributes:
        answer: to the query, at that mask: arrays [1, ...].
        step: the step that committed it, from 1.
    """

    answer: Answer
    step: int


class _Recorder:
    """Reads a mask in the step that commits it, and ends there."""

    def __init__(self, mask: int, readouts: tuple[Readout, ...]) -> None:
        self.mask, self._readouts = mask, readouts
        self.reading: WatchedMask | None = None

    def readouts(self, number: int, asked: Sequence[int]) -> tuple[Readout, ...]:
        return self._readouts

    def write(self, step: Step) -> dict[int, int] | None:
        if self.mask not in step.chosen:
            return step.chosen
        answer = step.answer.part(self._readouts, [step.at(self.mask)])
        self.reading = WatchedMask(answer, step.number)
        return None


def read(
    engine: AnyEngine, queries: Sequence[Query], schedules: Sequence[Schedule]
) -> list[WatchedMask]:
    """Fills in canvases until each query's one position is committed, and reads it in that step.

    One step is a plain forward pass. A query may ask a causal model, in one step.

    Args:
        engine: over any model.
        queries: each asks one position; the canvas is every mask of its ids that can be predicted.
        schedules: one a query; more steps than masks are as many as masks.
    """
    single = [i for i, schedule in enumerate(schedules) if schedule.steps == 1]
    found = engine.ask([queries[i] for i in single]) if single else []
    readings = {i: WatchedMask(answer, 1) for i, answer in zip(single, found, strict=True)}
    watches: dict[int, _Recorder] = {}
    begun = []
    for i, (query, schedule) in enumerate(zip(queries, schedules, strict=True)):
        if schedule.steps > 1:
            canvas = _all_masks(query, engine.entry)
            watches[i] = _Recorder(canvas.places.index(query.positions[0]), query.readouts)
            begun.append(decode(canvas, schedule, engine.entry, watches[i]))
    if begun:
        multi_step.run(engine, begun)
    readings |= {i: watch.reading for i, watch in watches.items() if watch.reading}
    return [readings[i] for i in range(len(queries))]


def _all_masks(query: Query, entry: Checkpoint) -> Canvas:
    masks = [i for i, token in enumerate(query.ids) if token == entry.mask_id]
    return Canvas(query.ids, tuple(i for i in masks if i >= entry.shift), query.name, query.origin)
