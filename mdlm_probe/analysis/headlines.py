"""Headlines: main figures of a probe, of each model, for the leaderboard and the page's summary.

A probe's headlines.py says in `HEADLINES` which of its tables' figures that is. Values, intervals
and numbers are those of the tables; nothing is estimated here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from mdlm_probe.analysis.frames import Tables, records
from mdlm_probe.analysis.model_card import ends_of
from mdlm_probe.analysis.observed import Observed
from mdlm_probe.analysis.pairing import Better
from mdlm_probe.analysis.tables import MISSING, is_missing, number
from mdlm_probe.core import catalog
from mdlm_probe.core.contract import value

NAN = float("nan")
DIGITS = 3
"""Significant digits of a figure in words, and in the leaderboard."""
UNITS_IN_WORDS = {"tasks": "relevant tasks"}


@dataclass(frozen=True)
class HeadlineValue:
    """A headline of one model.

    Attributes:
        model: its name.
        value: in the headline's unit; NaN where there is none.
        low, high: of its 95 % interval; NaN where there is none.
        n: independent units that the interval is over.
        units: what n counts.
        setting: of which rows it is, in words: where the question stands, how many masks.
        reason: why there is no value.
    """

    model: str
    value: float = NAN
    low: float = NAN
    high: float = NAN
    n: int = 0
    units: str = ""
    setting: str = ""
    reason: str = ""

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return not math.isnan(self.value)

    @property
    def bounded(self) -> bool:
        """Whether there is an interval."""
        return not (math.isnan(self.low) or math.isnan(self.high))


Find = Callable[[Tables, Any], Iterator[HeadlineValue]]
"""Finds a headline's values in a report's tables; rows say what the tables don't."""


@dataclass(frozen=True)
class Headline:
    """A figure that a probe is known by.

    Attributes:
        name: its name, by which the leaderboard sorts.
        meaning: one line.
        words: the figure in a sentence, with {value}, which has its unit, and {way}.
        unit: of the value and its interval.
        find: finds the values.
        ways: what {way} is of a value above `none`, and of one below, when {value} has no sign.
        better: whether more of it is better, or less.
        none: the value that says there is no effect; None where no value does.
    """

    name: str
    meaning: str
    words: str
    unit: str
    find: Find
    ways: tuple[str, str] = ("", "")
    better: Better = ""
    none: float | None = 0.0

    def stands_out(self, found: HeadlineValue) -> bool:
        """Whether the interval leaves out the value of no effect; never without an interval."""
        if self.none is None or not found.bounded:
            return False
        return not found.low <= self.none <= found.high

    def sentence(self, found: HeadlineValue) -> str:
        """A value in words; the reason where there is none."""
        if not found.known:
            return found.reason
        way = self.ways[found.value < (self.none or 0.0)]
        return self.words.format(value=with_unit(self._as_said(found).value, self.unit), way=way)

    def ends(self, found: HeadlineValue) -> str:
        """Both ends of the interval as the sentence counts: what is lower by 2 has one around 2."""
        return ends_in_words(self._as_said(found))

    def _as_said(self, found: HeadlineValue) -> HeadlineValue:
        """A value without its sign, where the sentence says which way it is."""
        if not any(self.ways) or found.value >= 0:
            return found
        return replace(found, value=-found.value, low=-found.high, high=-found.low)


def declared(probe: str) -> tuple[Headline, ...]:
    """The headlines of a probe; none of one that declares none."""
    if probe not in catalog.names("headlines"):
        return ()
    found: tuple[Headline, ...] = value("headlines", catalog.load("headlines", probe), "HEADLINES")
    return found


def values(
    headline: Headline, tables: Tables, frame: Observed, models: Sequence[str]
) -> list[HeadlineValue]:
    """A headline of each model, in their order; of those that aren't found, why."""
    found = {one.model: one for one in headline.find(tables, frame)}
    every = [found.get(name, HeadlineValue(name)) for name in models]
    return [one if one.known or one.reason else replace(one, reason=ABSENT) for one in every]


ABSENT = "its rows don't hold what this figure takes"


# ---------------------------------------------------------------------- finding


def chosen(table: pd.DataFrame, **wanted: Any) -> pd.DataFrame:
    """A table's rows with these values, where there are any; else all, one column after another."""
    for name, one in wanted.items():
        same = table[table[name] == one] if name in table else table
        table = same if len(same) else table
    return table


def of_models(table: pd.DataFrame | None) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each model, in order of appearance; nothing of a table that wasn't made."""
    if table is None or "model" not in table:
        return
    for model, own in table.groupby("model", observed=True, sort=False):
        yield str(model), own


def first(rows: pd.DataFrame) -> dict[str, Any]:
    """The first row."""
    return records(rows.head(1))[0]


def few_shot(row: dict[str, Any], column: str, scale: float, setting: str) -> HeadlineValue:
    """A row's value with its interval over relevant tasks, or over items where that is none."""
    ends = ends_of(row)
    counts = {"tasks": row["tasks"], "items": row["n"]}
    return HeadlineValue(
        str(row["model"]),
        scale * row[column],
        scale * ends.low,
        scale * ends.high,
        int(counts[ends.over]),
        UNITS_IN_WORDS.get(ends.over, ends.over),
        setting,
    )


def over(
    row: dict[str, Any], column: str, scale: float, n: Any, units: str, setting: str
) -> HeadlineValue:
    """A row's value with the interval of its own name.

    Args:
        row: of a table.
        column: of the value.
        scale: what the value and its interval are multiplied with.
        n, units: how many independent units there are, and what they are.
        setting: of which rows it is.
    """
    low, high = (scale * row[f"{column}_{end}"] for end in ("low", "high"))
    low, high = (high, low) if scale < 0 else (low, high)
    value = scale * row[column] + 0.0  # no -0
    return HeadlineValue(str(row["model"]), value, low, high, int(n), units, setting)


# ---------------------------------------------------------------------- words


def rounded(value: float) -> str:
    """A figure to three digits; a dash for none."""
    if is_missing(value):
        return MISSING
    return number(float(f"{value:.{DIGITS}g}"), "shortest")


def with_unit(value: float, unit: str) -> str:
    """A figure and its unit, in the singular where it is one."""
    text = rounded(value)
    named = unit.removesuffix("s") if text == "1" and " " not in unit else unit
    return f"{text} {named}".strip()


def ends_in_words(found: HeadlineValue) -> str:
    """Both ends of an interval; a dash where there is none."""
    return f"{rounded(found.low)} to {rounded(found.high)}" if found.bounded else MISSING
