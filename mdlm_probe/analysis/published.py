"""Published figures, and our own measurements of the same things."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedValue:
    """A published figure.

    Attributes:
        what: is measured, with its unit.
        model: its registry name.
        value: as published.
        source: the paper, and where in it.
    """

    what: str
    model: str
    value: str
    source: str


@dataclass(frozen=True)
class OwnValue:
    """The same measure in this run: a mean, and its 95 % interval."""

    what: str
    model: str
    value: float
    low: float = float("nan")
    high: float = float("nan")
