"""Groups on their way through workers: taken in order, within a window; results in order, too."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import is_dataclass
from typing import Any, Generic

from mdlm_probe.core.cells import key
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.runs.executors.contract import GroupResult, Item

DEATHS = 3
"""Workers that a group may end: what ends so many is no accident."""


class GroupQueue(Generic[Item]):
    """Groups that are taken, tried again and finished, in any order; their results come in theirs.

    An error counts as its group's result: all groups before it are finished first, so that what is
    written doesn't depend on who was faster.

    Args:
        groups: all of them.
        window: how many groups may be taken before the first of them is finished.

    Attributes:
        over: whether every result was given.
    """

    def __init__(self, groups: Iterable[Sequence[Item]], window: int) -> None:
        self._groups, self._window = iter(groups), window
        self._taken: dict[int, Sequence[Item]] = {}
        self._again: list[int] = []
        self._outcomes: dict[int, GroupResult[Any] | BaseException] = {}
        self._deaths: Counter[int] = Counter()
        self._due, self._count, self._end = 0, 0, False

    def take(self) -> tuple[int, Sequence[Item]] | None:
        """The next group and its number, one that has to be done again first; None: not now."""
        if self._again:
            number = heapq.heappop(self._again)
            return number, self._taken[number]
        if self._end or self._count >= self._due + self._window:
            return None
        group = next(self._groups, None)
        if group is None:
            self._end = True
            return None
        self._taken[self._count] = group
        self._count += 1
        return self._count - 1, group

    def finish(self, number: int, outcome: GroupResult[Any] | BaseException) -> None:
        """A group's result, or the error that it ended with: later groups are then left out."""
        if self._taken.pop(number, None) is None:  # after an error
            return
        self._outcomes[number] = outcome
        if isinstance(outcome, BaseException):
            self._end, self._count = True, number + 1
            self._again = [other for other in self._again if other < number]
            heapq.heapify(self._again)
            self._taken = {n: group for n, group in self._taken.items() if n < number}

    def lost(self, number: int, why: str) -> None:
        """A worker died with a group: it is taken again, unless it ended too many.

        Args:
            number: of the group.
            why: what is known of the death.
        """
        if number not in self._taken:
            return
        self._deaths[number] += 1
        if self._deaths[number] < DEATHS:
            heapq.heappush(self._again, number)
            return
        self.finish(number, deadly(self._taken[number], why))

    def due(self) -> Iterator[GroupResult[Any]]:
        """Results whose turn it is.

        Raises:
            BaseException: a group's error, when its turn comes.
        """
        while self._due in self._outcomes:
            outcome = self._outcomes.pop(self._due)
            self._due += 1
            if isinstance(outcome, BaseException):
                raise outcome
            yield outcome

    @property
    def over(self) -> bool:
        """Whether every result was given."""
        return self._end and self._due >= self._count


def deadly(group: Sequence[Any], why: str) -> ProbeError:
    """The error for a group that no worker survives."""
    ends = dict.fromkeys((name(group[0]), name(group[-1])))
    return ProbeError(
        f"{DEATHS} workers died of the same {len(group)} cells or prompts, from "
        + " to ".join(ends)
        + f": {why}",
        expected="cells that a worker survives; all rows before them are kept",
        hint="less at a time may fit into memory: --batch-tokens, --dtype, --quantize; the same"
        " command resumes",
    )


def name(item: Any) -> str:
    """What a cell, or whatever else is worked on, is called in a message."""
    return key(item) if is_dataclass(item) else str(item)[:200]
