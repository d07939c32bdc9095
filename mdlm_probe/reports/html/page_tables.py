"""Tables of the page: their text, and the model of each row, by which the page's script picks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pandas as pd

from mdlm_probe.analysis import tables
from mdlm_probe.analysis.tables import text_table

number = partial(tables.number, rounding="shortest")
"""A value, written as the page's script writes it."""
interval = partial(tables.interval, rounding="shortest")
"""Both ends of an interval, written as the page's script writes them."""


@dataclass(frozen=True)
class PageTable:
    """A table of the page.

    Attributes:
        title: its name.
        heads: of the columns.
        rows: the model of each row ("" if it is of none), and its cells.
        numbers: whether a column holds numbers.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    numbers: tuple[bool, ...]


def page_table(title: str, frame: pd.DataFrame) -> PageTable:
    """A report's table for the page."""
    text = text_table(frame, rounding="shortest")
    models = frame["model"].astype(str) if "model" in frame else [""] * len(frame)
    return PageTable(title, text.heads, tuple(zip(models, text.rows, strict=True)), text.numeric)
