"""The rows of a probe as its report gets them: one frame, or one for each kind of observation."""

from __future__ import annotations

from typing import Any

import pandas as pd

Observed = pd.DataFrame | dict[str, pd.DataFrame]
"""A probe's rows; by kind of observation, the main one first, where it has several."""


def by_kind(rows: Observed) -> dict[str, pd.DataFrame]:
    """The rows by kind; a probe's only kind is called ""."""
    return {"": rows} if isinstance(rows, pd.DataFrame) else rows


def count(rows: Observed) -> int:
    """How many rows there are of all kinds."""
    return sum(map(len, by_kind(rows).values()))


def values(rows: Observed, column: str) -> list[Any]:
    """The different values of a column in all kinds, in order of appearance; none are left out."""
    found = [frame[column].dropna().unique() for frame in by_kind(rows).values() if column in frame]
    return list(dict.fromkeys(value for own in found for value in own))


def where(rows: Observed, column: str, value: Any) -> Observed:
    """The rows that have a value in a column, numbered from 0; kinds without it are whole."""
    found = {
        kind: frame[frame[column] == value].reset_index(drop=True) if column in frame else frame
        for kind, frame in by_kind(rows).items()
    }
    return found[""] if isinstance(rows, pd.DataFrame) else found
