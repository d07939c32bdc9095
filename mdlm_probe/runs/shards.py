"""Shards: every n-th group of a plan's cells, for a job array; `merging` puts them together."""

from __future__ import annotations

from dataclasses import dataclass

from mdlm_probe.core.cell_products import C
from mdlm_probe.core.cell_ranges import CellSequence, hashed


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of a run, numbered from 1.

    Groups are dealt out in turn, so that what takes long is spread evenly over all parts.
    """

    index: int
    count: int

    @classmethod
    def read(cls, text: str) -> Shard:
        """The shard that run.json names."""
        return cls(*map(int, text.split("/")))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def groups(self, cells: int, size: int) -> range:
        """The groups of `size` cells that it has, of as many as so many cells make."""
        return range(self.index - 1, -(-cells // size), self.count)

    def cells(self, cells: int, size: int) -> int:
        """How many of so many cells it has."""
        return sum(min(size, cells - group * size) for group in self.groups(cells, size))


class ShardCells(CellSequence[C]):
    """The cells of a shard, in the plan's order; nothing is copied.

    Args:
        cells: of the whole plan.
        shard: which part.
        size: cells of a group.
    """

    def __init__(self, cells: CellSequence[C], shard: Shard, size: int) -> None:
        self._cells, self._shard, self._size = cells, shard, size
        self._length = shard.cells(len(cells), size)

    def __len__(self) -> int:
        return self._length

    def cell(self, place: int) -> C:
        """The cell at a place of the shard."""
        group, rest = divmod(place, self._size)
        return self._cells.cell(
            (group * self._shard.count + self._shard.index - 1) * self._size + rest
        )

    @property
    def digest(self) -> str:
        """A hash of the whole plan's cells, and of which ones these are."""
        return hashed((self._cells.digest, str(self._shard), str(self._size)))
