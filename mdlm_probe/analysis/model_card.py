"""What a probe says on a model card: a section of text, and numbers for the Hub's metadata."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.tables import interval, number


@dataclass(frozen=True)
class Ends:
    """An interval's ends, NaN where there is none, and what it is over: relevant tasks or items."""

    low: float
    high: float
    over: str


@dataclass(frozen=True)
class CardNumber:
    """A number on a card.

    Attributes:
        name, kind: of the metric, for people and for programs.
        value: of it.
        ends: its interval.
        facts: what it is of.
    """

    name: str
    kind: str
    value: float
    ends: Ends
    facts: dict[str, Any]


@dataclass(frozen=True)
class CardSection:
    """A measurement on a card.

    Attributes:
        title: of the section.
        facts: of the measurement, beside what every measurement says.
        lines: Markdown.
        task: what was asked, in words.
        results: the numbers of each setting, with the setting.
    """

    title: str
    facts: dict[str, Any]
    lines: list[str]
    task: str
    results: list[tuple[dict[str, Any], list[CardNumber]]]


def own_rows(tables: Tables, name: str, model: str) -> pd.DataFrame:
    """A model's lines of a report's table."""
    found = tables[name]
    return found[found["model"] == model] if len(found) else found


def ends_of(row: dict[str, Any]) -> Ends:
    """A row's interval over relevant tasks; over items where these tell none, as a single one."""
    found = [Ends(row[f"{over}_low"], row[f"{over}_high"], over) for over in ("tasks", "items")]
    return next((ends for ends in found if ends.low == ends.low), found[0])


def shared(rows: Sequence[dict[str, Any]]) -> str:
    """What the intervals of all rows are over; "" where that differs."""
    found = {ends.over for ends in map(ends_of, rows) if ends.low == ends.low}
    return found.pop() if len(found) == 1 else ""


def said_over(ends: Ends, over: str = "") -> str:
    """What an interval is over, to stand behind it: nothing where it is `over` that of them all."""
    return f" over {ends.over}" if ends.over != over and ends.low == ends.low else ""


def with_interval(value: float, low: float, high: float) -> str:
    """A number and its interval in a cell."""
    return number(float(value)) + ("" if math.isnan(low) else f" ({interval(low, high)})")
