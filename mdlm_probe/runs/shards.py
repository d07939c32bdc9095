"""Shards: every n-th group of a plan's cells, for a job array; `merging` puts them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of a run, numbered from 1.

    Groups are dealt out in turn, so that what takes long is spread evenly over all parts.
    """

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def groups(self, cells: int, size: int) -> range:
        """The groups of `size` cells that it has, of as many as so many cells make."""
        return range(self.index - 1, -(-cells // size), self.count)

    def cells(self, cells: int, size: int) -> int:
        """How many of so many cells it has."""
        return sum(min(size, cells - group * size) for group in self.groups(cells, size))


class ShardCells(Sequence[Any]):
    """The cells of a shard, in the plan's order; nothing is copied.

    Args:
        cells: of the whole plan.
        shard: which part.
        size: cells of a group.
    """

    def __init__(self, cells: Sequence[Any], shard: Shard, size: int) -> None:
        self._cells, self._shard, self._size = cells, shard, size
        self._length = shard.cells(len(cells), size)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, at: int) -> Any: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Any]: ...
    def __getitem__(self, at: int | slice) -> Any:
        places = range(self._length)[at]
        if isinstance(places, int):
            return self._cells[self._place(places)]
        return [self._cells[self._place(place)] for place in places]

    def _place(self, at: int) -> int:
        """Where one of its cells stands in the whole plan."""
        group, rest = divmod(at, self._size)
        return (group * self._shard.count + self._shard.index - 1) * self._size + rest
