"""Columns: the name, type, unit and meaning of every column that a measurement writes."""

from __future__ import annotations

import builtins
import dataclasses
import typing
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

TYPES = (bool, int, float, str, list)
"""What a column holds; in a CSV yes and no are 1 and 0, and lists are JSON."""


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a measurement's rows.

    Attributes:
        name: its head in the CSV.
        type: one of `TYPES`; a field may be empty whatever the type.
        unit: of its numbers, such as "nats" or "tokens"; "" for names, texts, yes and no.
        meaning: one line.
        optional: whether there are runs without it: those that would hold nothing in it.
        file: whether it names a file, which may have moved: only digests of what files hold say
            whether two are the same.
        option: the option whose value it holds, where that has another name.
    """

    name: str
    type: builtins.type
    unit: str
    meaning: str
    optional: bool = False
    file: bool = False
    option: str = ""

    @property
    def kind(self) -> str:
        """Its type in words, and that it may be missing."""
        return self.type.__name__ + (", optional" if self.optional else "")


@dataclasses.dataclass(frozen=True)
class Observation:
    """A kind of observation: what a row of one CSV is.

    Attributes:
        name: its own; "" where a probe has one kind. The main kind's CSV is called after the
            probe alone, the others' after both.
        meaning: what a row is, one line.
        columns: what it says.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]


@dataclasses.dataclass(frozen=True)
class Unit:
    """The unit of a coordinate, beside its meaning: `Annotated[int, "masks", Unit("tokens")]`."""

    name: str


@dataclasses.dataclass(frozen=True)
class Holds:
    """Says of a coordinate which option's value it holds, where names differ: `Column.option`."""

    option: str


FILE = object()
"""Says of a coordinate that it names a file, beside its meaning: see `Column.file`."""

MODEL = Column("model", str, "", "the model's name")
"""The first column of every probe's rows."""
RUN = Column("run", str, "", "id of the measurement, as run.json has it under `run`")
"""The last column of every probe's rows, and of verdicts."""


def optional(*columns: Column) -> tuple[Column, ...]:
    """Columns that some runs don't have."""
    return tuple(dataclasses.replace(column, optional=True) for column in columns)


def names(columns: Iterable[Column]) -> tuple[str, ...]:
    """The heads of columns."""
    return tuple(column.name for column in columns)


def empty(columns: Iterable[Column]) -> dict[str, Any]:
    """A row that holds nothing yet."""
    return dict.fromkeys(names(columns))


@lru_cache
def coordinates(cell: type) -> tuple[Column, ...]:
    """The columns that a cell's fields are: `field: Annotated[type, meaning, Unit, FILE, Holds]`.

    Unit, FILE and Holds may be missing. Literals are text; a type with `| None` is the type alone.
    """
    hints = typing.get_type_hints(cell, include_extras=True)
    return tuple(_column(field.name, hints[field.name]) for field in dataclasses.fields(cell))


def read_cell(cell: type, row: Mapping[str, str]) -> Any:
    """The cell whose coordinates a row of a CSV holds as text.

    Raises:
        KeyError, ValueError: rows of a version that had other coordinates.
    """
    optional, found = _optional(cell), {}
    for column in coordinates(cell):
        text = row[column.name]
        found[column.name] = None if column.name in optional and not text else column.type(text)
    return cell(**found)


@lru_cache
def _optional(cell: type) -> frozenset[str]:
    """The fields of a cell that may be None."""
    hints = typing.get_type_hints(cell).items()
    return frozenset(name for name, hint in hints if type(None) in typing.get_args(hint))


def _column(name: str, hint: Any) -> Column:
    kind, meaning, *more = typing.get_args(hint)
    unit = next((mark.name for mark in more if isinstance(mark, Unit)), "")
    option = next((mark.option for mark in more if isinstance(mark, Holds)), "")
    return Column(name, _plain(kind), unit, meaning, file=FILE in more, option=option)


def _plain(kind: Any) -> type:
    """One of `TYPES`."""
    if typing.get_origin(kind) is typing.Literal:
        return str
    plain: type = next(part for part in (kind, *typing.get_args(kind)) if part in TYPES)
    return plain
