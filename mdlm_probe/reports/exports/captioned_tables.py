"""Reports' tables as exports print them: in words and with units, what never varies above them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import partial

import pandas as pd

from mdlm_probe.analysis.tables import TextTable, column_words, text_table
from mdlm_probe.core import catalog
from mdlm_probe.reports.exports.column_units import unit_of
from mdlm_probe.reports.exports.typed_rows import coordinates_in


@dataclass(frozen=True)
class CaptionedTable:
    """A table as text, and what stands above it.

    Attributes:
        title: what it is, in a sentence.
        fixed: coordinates and counts that are the same in all rows, and are therefore no columns.
        text: the columns that are left.
    """

    title: str
    fixed: dict[str, str]
    text: TextTable

    @property
    def all_with(self) -> str:
        """What all rows have in common, as a sentence; "" where that is nothing."""
        named = ", ".join(f"{head} {value}" for head, value in self.fixed.items())
        return f"All with {named}." if named else ""


def captioned_table(probe: str, name: str, frame: pd.DataFrame) -> CaptionedTable:
    """A report's table; coordinates and counts that don't vary are no columns.

    The model is one, and all counts of a table of one row are.
    """
    counts = [c for c in map(str, frame) if pd.api.types.is_integer_dtype(frame[c])]
    own = [*coordinates_in(probe, frame), *(counts if len(frame) > 1 else ())]
    same = [c for c in dict.fromkeys(own) if frame[c].nunique(dropna=False) == 1]
    first = text_table(frame[same].head(1), head=column_words)
    fixed = dict(zip(first.heads, first.rows[0], strict=True)) if same else {}
    unit = partial(unit_of, probe, name)
    text = text_table(frame.drop(columns=same), head=column_words, unit=unit)
    return CaptionedTable(titled(probe, name), fixed, text)


def titled(probe: str, name: str) -> str:
    """What the report says of a table: its function's first line, or the table's name."""
    function = getattr(catalog.load("report", probe), name, None)
    said = inspect.getdoc(function) if inspect.isfunction(function) else None
    return f"{probe}, {name}" + (f": {said.splitlines()[0]}" if said else "")
