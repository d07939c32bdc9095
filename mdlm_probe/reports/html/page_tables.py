"""Tables of the page: their text, and the model of each row, by which the page's script picks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

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
        titles: what each column means, for hovering; () where no column is declared.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    numbers: tuple[bool, ...]
    titles: tuple[str, ...] = ()


def page_table(
    title: str,
    frame: pd.DataFrame,
    meanings: Mapping[str, str] = MappingProxyType({}),
    percent: Mapping[str, str] = MappingProxyType({}),
) -> PageTable:
    """A report's table for the page.

    Args:
        title: its name.
        frame: the table.
        meanings: of columns that are declared, by name; a unit may follow the name in the head.
        percent: columns that are shown in percent, see `tables.text_table`.
    """
    text = text_table(frame, rounding="shortest", percent=percent)
    models = frame["model"].astype(str) if "model" in frame else [""] * len(frame)
    rows = tuple(zip(models, text.rows, strict=True))
    titles = tuple(meanings.get(head.partition(" (")[0], "") for head in text.heads)
    return PageTable(title, text.heads, rows, text.numeric, titles if any(titles) else ())
