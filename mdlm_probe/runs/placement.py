"""Placement: which models a study measures at the same time, and by whose workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from mdlm_probe.core import threads
from mdlm_probe.runs.executors import Executor

Turn = TypeVar("Turn")
Outcome = TypeVar("Outcome")


def outcomes(
    turns: Sequence[tuple[Hashable, int, Turn]],
    executor: Executor,
    take: Callable[[Turn, Executor], Outcome],
) -> list[Outcome]:
    """What comes of every turn, in the order given; those of one model follow each other.

    Where the executor can work on several models at once, the largest begin, and whoever has no
    more to do helps those that have.

    Args:
        turns: each with its model, and how large that is.
        executor: has the workers.
        take: does one turn.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    models: dict[Hashable, list[int]] = {}
    for number, (model, _, _) in enumerate(turns):
        models.setdefault(model, []).append(number)
    parts = executor.parts(len(models)) if len(models) > 1 else [executor]
    if len(parts) == 1:
        return [take(turn, executor) for _, _, turn in turns]
    queues = sorted(models.values(), key=lambda numbers: -turns[numbers[0]][1])
    workers, found = _Workers(parts, len(queues)), dict[int, Outcome]()

    def measure(numbers: Sequence[int]) -> None:
        own = workers.take()
        try:
            for number in numbers:
                found[number] = take(turns[number][2], own)
        finally:
            workers.give(own)

    for _ in threads.results(measure, queues, at_once=len(parts), name="study"):
        pass
    return [found[number] for number in range(len(turns))]


class _Workers:
    """Executors that are free, for as many models as wait."""

    def __init__(self, parts: Sequence[Executor], waiting: int) -> None:
        self._free, self._busy, self._waiting = list(parts), list[Executor](), waiting
        self._lock = threading.Lock()

    def take(self) -> Executor:
        """One that is free, the largest first."""
        with self._lock:
            self._waiting -= 1
            self._busy.append(self._free.pop(0))
            return self._busy[-1]

    def give(self, one: Executor) -> None:
        """Gives it back; where no model waits, its workers help another executor."""
        with self._lock:
            self._busy.remove(one)
            self._free.append(one)
            if not self._waiting and self._busy:
                one.help(self._busy)
