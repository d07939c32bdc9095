r"""Columns of LaTeX tables: numbers as siunitx aligns them, and how wide it all is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mdlm_probe.analysis.text_width import width, wrapped
from mdlm_probe.reports.exports.chosen_columns import ChosenColumn, ChosenTable
from mdlm_probe.reports.exports.latex_text import escape

COLUMN = 3.3 * 72.27
"""The width of one column of a page, in TeX's points."""
SEPARATION = 3.0
"""On both sides of a column of a narrow table, in points."""
SIZES = {"small": 9.3, "footnotesize": 8.6, "scriptsize": 8.0}
"""Sizes of text, largest first, with the points at which Arial is about as wide.

Of Computer Modern in a document of 10 points, whose small letters are drawn wider: 9, 8 and 7.
"""
PLAIN = re.compile(r"-?(\d+)(?:\.(\d+))?")
EXPONENT = re.compile(r"(-?\d+(?:\.\d+)?)e([+-]?)0*(\d+)")


@dataclass(frozen=True)
class TexColumn:
    """A column as LaTeX takes it.

    Attributes:
        spec: its letter.
        head, cells: LaTeX.
    """

    spec: str
    head: str
    cells: tuple[str, ...]


def tex_column(head: str, cells: Sequence[str], numeric: bool) -> TexColumn:
    """A column: numbers aligned at their points, text to the left."""
    found = [match for cell in cells if numeric and (match := PLAIN.fullmatch(cell))]
    if not found:
        return TexColumn("r" if numeric else "l", escape(head), tuple(map(escape, cells)))
    sign = "-" if any(match[0].startswith("-") for match in found) else ""
    whole, decimals = (max(len(match[part] or "") for match in found) for part in (1, 2))
    form = f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"
    return TexColumn(f"S[table-format={form}]", f"{{{escape(head)}}}", tuple(map(_cell, cells)))


def _cell(cell: str) -> str:
    """A cell of a column of numbers: braces keep siunitx from what isn't plain."""
    if PLAIN.fullmatch(cell):
        return cell
    if power := EXPONENT.fullmatch(cell):
        minus = "-" if power[2] == "-" else ""
        return rf"{{\num{{{power[1]}e{minus}{power[3]}}}}}"
    return f"{{{escape(cell)}}}"


@dataclass(frozen=True)
class NarrowTable:
    """A table of chosen columns as LaTeX takes it.

    Attributes:
        size: of its text, a command's name; "" where no size makes it fit.
        spec: of all columns.
        head: the row of heads.
        rows: with the heads of groups between them.
    """

    size: str
    spec: str
    head: str
    rows: tuple[str, ...]


def narrow(table: ChosenTable) -> NarrowTable:
    """A table in the largest text in which it fits into a column."""
    specs, heads, cells = [], [], []
    for column in table.columns:
        lines = _head_lines(column)
        head = escape(lines[0]) if len(lines) == 1 else _stack(lines)
        made = tex_column("", column.cells, column.numeric)
        specs.append(made.spec)
        cells.append(made.cells)
        if column.intervals:
            specs.append("@{ }r")
            cells.append(tuple(map(escape, column.intervals)))
            heads.append(rf"\multicolumn{{2}}{{c}}{{{head}}}")
        else:
            heads.append(f"{{{head}}}")
    across = list(zip(*cells, strict=True))
    rows: list[str] = []
    for said, places in table.groups.items():
        if said:
            rows += [r"\addlinespace"] if rows else []
            rows.append(rf"\multicolumn{{{len(specs)}}}{{@{{}}l}}{{\itshape {escape(said)}}} \\")
        rows += [" & ".join(across[place]) + r" \\" for place in places]
    fitting = (name for name, points in SIZES.items() if _width(table, points) <= COLUMN)
    return NarrowTable(
        next(fitting, ""), f"@{{}}{''.join(specs)}@{{}}", " & ".join(heads) + r" \\", tuple(rows)
    )


def _stack(lines: Sequence[str]) -> str:
    return r"\shortstack{" + r"\\".join(map(escape, lines)) + "}"


def _head_lines(column: ChosenColumn) -> list[str]:
    """A head in lines that are no wider than the cells, words permitting."""
    return wrapped(column.head, 1, _cells_width(column, 1))


def _cells_width(column: ChosenColumn, points: float) -> float:
    widest = max((_printed(cell, points) for cell in column.cells), default=0.0)
    beside = max((_printed(f" {cell}", points) for cell in column.intervals), default=0.0)
    return widest + beside


def _printed(cell: str, points: float) -> float:
    """The width of a cell, whose hyphens before numbers are printed as a minus: as wide as a G."""
    return width(re.sub(r"-(?=\d)", "G", cell), points)


def _width(table: ChosenTable, points: float) -> float:
    """About how wide a table is, in points: by Arial's letters."""
    wide = 2 * SEPARATION * (len(table.columns) - 1)
    for column in table.columns:
        head = max(width(line, points) for line in _head_lines(column))
        wide += max(_cells_width(column, points), head)
    return max(wide, *(width(said, points) for said in table.groups))
