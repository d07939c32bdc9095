"""Ranges of cells: a plan's cells as products of axes, one after another, or some of them.

A plan of a million cells takes as much memory as its options do: each cell is made when it is
asked for.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain
from typing import Any, overload

from mdlm_probe.core.cell_products import Axis, C, CellProduct, axis_of, coordinates


class CellSequence(Sequence[C]):
    """Cells in the order of a plan, made when they are asked for; a slice of it is a list.

    Whoever inherits from it has a length, `cell` and `digest`.
    """

    def cell(self, place: int) -> C:
        """The cell at a place, from 0 on."""
        raise NotImplementedError

    @property
    def digest(self) -> str:
        """A hash of all cells and their order."""
        raise NotImplementedError

    @overload
    def __getitem__(self, place: int) -> C: ...
    @overload
    def __getitem__(self, place: slice) -> list[C]: ...
    def __getitem__(self, place: int | slice) -> C | list[C]:
        found = range(len(self))[place]
        return self.cell(found) if isinstance(found, int) else list(map(self.cell, found))

    def __iter__(self) -> Iterator[C]:
        return map(self.cell, range(len(self)))

    def counted(self, name: str) -> Counter[Any]:
        """How many cells have each value of a coordinate; values in the order of the cells."""
        return Counter(getattr(cell, name) for cell in self)

    def corners(self, texts: Sequence[str]) -> Iterable[C]:
        """Some cells, among them, of every combination of some coordinates' values, the first cells
        where each other coordinate is least and largest.

        Args:
            texts: names of the coordinates that are combined.
        """
        return self

    def longest(self, texts: Sequence[str], sizes: Callable[[list[C]], list[int]]) -> int:
        """The largest size of a cell.

        Args:
            texts: names of the coordinates of which every value is tried.
            sizes: of some cells.
        """
        return max(sizes(list(self)), default=0)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        if isinstance(other, CellSequence) and self.digest == other.digest:
            return True
        return len(self) == len(other) and all(
            one == another for one, another in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]


class Cells(CellSequence[C]):
    """The cells of some products, one product after another."""

    def __init__(self, products: Iterable[CellProduct[C]] = ()) -> None:
        self.products = [part for part in products if len(part)]
        self._ends = list(accumulate(map(len, self.products)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __add__(self, other: Cells[C]) -> Cells[C]:
        return Cells([*self.products, *other.products])

    def cell(self, place: int) -> C:
        """The cell at a place, from 0 on."""
        n = bisect_right(self._ends, place)
        return self.products[n].cell(place - (self._ends[n - 1] if n else 0))

    @property
    def digest(self) -> str:
        """A hash of what the products are made of."""
        return hashed(part for one in self.products for part in one.parts)

    def counted(self, name: str) -> Counter[Any]:
        """As that of any sequence, without making a cell."""
        found = Counter[Any]()
        for part in self.products:
            found.update(part.counted(name))
        return found

    def corners(self, texts: Sequence[str]) -> Iterable[C]:
        """As those of any sequence, without making other cells."""
        return chain.from_iterable(part.corners(texts) for part in self.products)

    def longest(self, texts: Sequence[str], sizes: Callable[[list[C]], list[int]]) -> int:
        """The largest size, climbed to along one axis after another: as many cells are measured as
        there are values, not as there are combinations. It is the largest where what a value adds
        doesn't hang on the other coordinates.
        """
        return max((part.longest(texts, sizes) for part in self.products), default=0)

    def without(self, reason: Callable[[C], str]) -> tuple[Cells[C], dict[str, int]]:
        """The cells that there is no reason against, and how many others there are by reason.

        Args:
            reason: why a cell is left out; "" if it isn't. It is asked once for all cells that are
                equal in what it reads of them.
        """
        left, refused = [], dict[str, int]()
        for part in self.products:
            own, counts = part.without(reason)
            left.append(own)
            for why, count in counts.items():
                refused[why] = refused.get(why, 0) + count
        return Cells(left), refused


class ChosenCells(CellSequence[C]):
    """Some of the cells of a plan, as runs of places.

    Args:
        cells: all of them.
        places: of those that are chosen, in ascending order.
    """

    def __init__(self, cells: CellSequence[C], places: Iterable[int]) -> None:
        self._cells = cells
        self._first, self._ends = array("q"), array("q")  # a run's first place; cells up to its end
        count, last = 0, -2
        for place in places:
            if place != last + 1:
                self._first.append(place)
                self._ends.append(count)
            count, last = count + 1, place
            self._ends[-1] = count

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def cell(self, place: int) -> C:
        """The cell at a place, from 0 on."""
        n = bisect_right(self._ends, place)
        return self._cells.cell(self._first[n] + place - (self._ends[n - 1] if n else 0))

    @property
    def digest(self) -> str:
        """A hash of what all cells are made of, and of the runs."""
        return hashed((self._cells.digest, str(list(self._first)), str(list(self._ends))))


def cells_of(
    kind: type[C], /, *axes: tuple[str | tuple[str, ...], Iterable[Any]], **fixed: Any
) -> Cells[C]:
    """The cells of all combinations of values, the last axis changing fastest.

    Args:
        kind: the class of the cells.
        axes: the name of a coordinate and its values, or several names and tuples of values.
        fixed: coordinates that are the same in all cells; what is missing has its default.
    """
    made = [
        Axis(
            (names,) if isinstance(names, str) else names,
            values if isinstance(values, range) else list(values),
        )
        for names, values in axes
    ]
    return Cells([CellProduct(kind, made, fixed)])


def listed(kind: type[C], cells: Sequence[C]) -> Cells[C]:
    """Any cells as such ranges: those that aren't yet become a single axis."""
    if isinstance(cells, Cells):
        return cells
    names = tuple(coordinates(kind))
    values = [tuple(getattr(cell, name) for name in names) for cell in cells]
    return Cells([CellProduct(kind, [axis_of(names, values)], {})])


def hashed(parts: Iterable[str]) -> str:
    """A hash of texts in their order."""
    found = hashlib.blake2b(digest_size=8)
    for part in parts:
        found.update(part.encode())
        found.update(b"\0")
    return found.hexdigest()
