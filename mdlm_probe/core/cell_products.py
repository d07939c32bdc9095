"""Products of cells: every combination of values on some axes; a cell is made when asked for."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, product
from typing import Any, Generic, NamedTuple, TypeVar

C = TypeVar("C")
"""A probe's class of cells."""


class Axis(NamedTuple):
    """Coordinates that change together.

    Attributes:
        names: of the coordinates.
        values: at each place of the axis: of one coordinate its value, of several a tuple.
    """

    names: tuple[str, ...]
    values: Sequence[Any]

    def at(self, place: int) -> tuple[Any, ...]:
        """The values at a place, one for each name."""
        found = self.values[place]
        return (found,) if len(self.names) == 1 else tuple(found)

    def ends(self, texts: Sequence[str]) -> list[list[int]]:
        """Of each combination of texts on the axis: its first place, and the other places where
        another coordinate first has its least or largest value, in ascending order.
        """
        if isinstance(self.values, range):
            return [sorted({0, len(self.values) - 1})]
        known = [n for n, name in enumerate(self.names) if name in texts]
        others = [n for n in range(len(self.names)) if n not in known]
        groups: dict[tuple[Any, ...], list[int]] = {}
        for place in range(len(self.values)):
            own = self.at(place)
            groups.setdefault(tuple(own[n] for n in known), []).append(place)
        return [self._ends(places, others) for places in groups.values()]

    def _ends(self, places: list[int], numbers: list[int]) -> list[int]:
        found = set()
        for n in numbers if len(places) > 1 else ():
            values = [self.at(place)[n] for place in places]
            found |= {places[values.index(end(values))] for end in (min, max)}
        return [places[0], *sorted(found - {places[0]})]


class CellProduct(Generic[C]):
    """The cells of every combination of places on some axes, the last axis changing fastest.

    Args:
        kind: the class of the cells.
        axes: the coordinates that change.
        fixed: the others; what is missing has its default.
    """

    def __init__(self, kind: type[C], axes: Sequence[Axis], fixed: Mapping[str, Any]) -> None:
        self.kind, self.axes = kind, tuple(axes)
        self.sizes = tuple(len(axis.values) for axis in axes)
        self.names = coordinates(kind)
        moving = [name for axis in axes for name in axis.names]
        self.fixed = {n: v for n, v in (_defaults(kind) | dict(fixed)).items() if n not in moving}
        given = [*self.fixed, *moving]
        assert sorted(given) == sorted(self.names), f"{given} are not the coordinates {self.names}"
        self._order = [given.index(name) for name in self.names]

    def __len__(self) -> int:
        return math.prod(self.sizes)

    def cell(self, place: int) -> C:
        """The cell at a place of the product."""
        places = []
        for size in reversed(self.sizes):
            place, own = divmod(place, size)
            places.append(own)
        return self.kind(*self._values(places[::-1]))

    def _values(self, places: Sequence[int]) -> Iterator[Any]:
        """The coordinates of the cell at a place of every axis, in the order of the fields."""
        found = list(self.fixed.values())
        for axis, place in zip(self.axes, places, strict=True):
            found += axis.at(place)
        return map(found.__getitem__, self._order)

    @property
    def parts(self) -> Iterator[str]:
        """What decides on all cells, a bit at a time."""
        yield f"{self.names} {self.fixed}"
        for axis in self.axes:
            values = axis.values
            yield f"{axis.names} {values if isinstance(values, range) else list(values)}"

    def counted(self, name: str) -> Counter[Any]:
        """How many cells have each value of a coordinate."""
        if name in self.fixed:
            return Counter({self.fixed[name]: len(self)})
        axis = next(axis for axis in self.axes if name in axis.names)
        number, size = axis.names.index(name), len(axis.values)
        found = Counter(axis.at(place)[number] for place in range(size))
        return Counter({value: count * len(self) // size for value, count in found.items()})

    def corners(self, texts: Sequence[str]) -> Iterator[C]:
        """As those of `Cells`."""
        for ends in product(*(axis.ends(texts) for axis in self.axes)):
            first = [places[0] for places in ends]
            yield self.kind(*self._values(first))
            for n, places in enumerate(ends):
                for place in places[1:]:
                    yield self.kind(*self._values([*first[:n], place, *first[n + 1 :]]))

    def longest(self, texts: Sequence[str], sizes: Callable[[list[C]], list[int]]) -> int:
        """As that of `Cells`."""
        places, best = [0] * len(self.axes), 0
        for n, axis in enumerate(self.axes):
            ends = list(chain.from_iterable(axis.ends(texts)))
            tried = [[*places[:n], place, *places[n + 1 :]] for place in ends]
            found = sizes([self.kind(*self._values(one)) for one in tried])
            places[n], best = ends[found.index(max(found))], max(best, *found)
        return best

    def without(self, reason: Callable[[C], str]) -> tuple[CellProduct[C], dict[str, int]]:
        """As that of `Cells`: the cells that are left, and how many others there are by reason."""
        read, found = self._reasons(reason)
        refused: dict[str, int] = {}
        share = len(self) // math.prod(self.sizes[n] for n in read)
        for why in filter(None, found.values()):
            refused[why] = refused.get(why, 0) + share
        if not refused:
            return self, refused
        first, end = (read[0], read[-1] + 1) if read else (0, 1)
        joined = self.axes[first:end]
        left = axis_of(
            tuple(name for axis in joined for name in axis.names),
            [
                tuple(chain(*(axis.at(n) for axis, n in zip(joined, places, strict=True))))
                for places in product(*map(range, self.sizes[first:end]))
                if not found[tuple(places[n - first] for n in read)]
            ],
        )
        return CellProduct(
            self.kind, (*self.axes[:first], left, *self.axes[end:]), self.fixed
        ), refused

    def _reasons(self, reason: Callable[[C], str]) -> tuple[list[int], dict[tuple[int, ...], str]]:
        """The axes that a reason depends on, and what it is for each combination of their places.

        What it reads of a cell is noted: for cells that are equal in that, it is the same.
        """
        noted: set[str] = set()
        noting, read = _noting(self.kind, noted), list[int]()
        while True:
            found = {}
            for own in product(*(range(self.sizes[n]) for n in read)):
                places = [0] * len(self.axes)
                for n, place in zip(read, own, strict=True):
                    places[n] = place
                found[own] = reason(noting(*self._values(places)))
            seen = [n for n, axis in enumerate(self.axes) if noted.intersection(axis.names)]
            if seen == read:
                return read, found
            read = seen


def axis_of(names: tuple[str, ...], values: list[tuple[Any, ...]]) -> Axis:
    """An axis of tuples of values, one for each name."""
    return Axis(names, values if len(names) > 1 else [own for (own,) in values])


def coordinates(kind: type) -> list[str]:
    """The coordinates of a class of cells."""
    return [field.name for field in dataclasses.fields(kind)]


def _defaults(kind: type) -> dict[str, Any]:
    """Defaults of the coordinates that have one."""
    fields = dataclasses.fields(kind)
    return {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}


def _noting(kind: type[C], noted: set[str]) -> type[C]:
    """A class of the same cells, whose coordinates are noted when they are read."""
    names = set(coordinates(kind))

    def read(cell: object, name: str) -> Any:
        if name in names:
            noted.add(name)
        return object.__getattribute__(cell, name)

    return type(kind.__name__, (kind,), {"__getattribute__": read, "__slots__": ()})
