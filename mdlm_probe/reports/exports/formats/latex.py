r"""LaTeX: one file per table, to \input where the packages named at its head are loaded.

Numbers stand in columns of siunitx, rules are those of booktabs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mdlm_probe.reports.exports.captioned_tables import CaptionedTable, captioned_table
from mdlm_probe.reports.exports.chosen_columns import ChosenTable, check_chosen, chosen_table
from mdlm_probe.reports.exports.exported_run import ExportedRun, ExportRequest
from mdlm_probe.reports.exports.latex_columns import SEPARATION, narrow, tex_column
from mdlm_probe.reports.exports.latex_text import escape

NEEDS = r"% needs \usepackage{booktabs,graphicx,longtable,siunitx,textcomp}"
NEEDS_NARROW = r"% needs \usepackage{booktabs,siunitx,textcomp}"
NEEDS_TURNED = NEEDS.replace("graphicx,longtable", "graphicx,longtable,pdflscape")
WIDE = 7
"""A table of more columns is shrunk to the width of the text."""
TURNED = 12
"""A table of more columns has a page of its own, in landscape."""
LONG = 40
"""A table of more rows spans several pages."""


def files(runs: Sequence[ExportedRun], request: ExportRequest) -> dict[str, bytes]:
    """PROBE-TABLE.tex with each of the reports' tables, or the chosen columns where it has them.

    Raises:
        ProbeError: no table has the columns that were asked for.
    """
    if request.columns:
        check_chosen(runs, request.columns)
    found = {}
    for run in runs:
        for probe, one in run.made.items():
            for name, frame in one.tables.items():
                named = label(run, probe, name)
                if not len(frame):
                    continue
                if not request.columns:
                    made = table(captioned_table(probe, name, frame), named)
                elif chosen := chosen_table(probe, name, frame, request.columns):
                    made = narrow_table(chosen, named)
                else:
                    continue
                found[run.file(f"{probe}-{name}.tex")] = made
    return found


def label(run: ExportedRun, probe: str, name: str) -> str:
    r"""What \ref takes: tab:PROBE-TABLE, a study's run before it."""
    return "tab:" + re.sub(
        r"[^A-Za-z0-9:.-]+", "-", "-".join(filter(None, (run.name, probe, name)))
    )


def table(made: CaptionedTable, name: str) -> bytes:
    """A table as LaTeX: numbers aligned, text to the left, special characters escaped.

    The comment at its head says which packages it needs, and how it was made to fit.
    """
    title = escape(f"{made.title} {made.all_with}".strip())
    text = made.text
    cells = zip(*text.rows, strict=True) if text.rows else [()] * len(text.heads)
    found = [tex_column(*one) for one in zip(text.heads, cells, text.numeric, strict=True)]
    columns = [column.spec for column in found]
    head = [r"\toprule", _row([column.head for column in found]), r"\midrule"]
    rows = [_row(row) for row in zip(*(column.cells for column in found), strict=True)]
    if len(rows) > LONG:
        lines = _long(columns, rf"\caption{{{title}}}\label{{{name}}}\\", head, rows)
    else:
        above = [r"\centering", rf"\caption{{{title}}}", rf"\label{{{name}}}"]
        lines = _short(columns, above, head, rows)
    if len(columns) > TURNED:
        lines = [r"\begin{landscape}", *lines, r"\end{landscape}"]
    return "".join(f"{line}\n" for line in [*_said(len(columns)), *lines]).encode()


def narrow_table(chosen: ChosenTable, name: str) -> bytes:
    """Chosen columns as LaTeX: as wide as a column of the page at most, or over both columns."""
    made = narrow(chosen)
    wide = "" if made.size else "*"
    said = [] if made.size else ["% wider than a column: over both, choose fewer --columns"]
    if len(made.rows) > LONG:
        said.append(f"% {len(made.rows)} rows: a float may be no taller than a page")
    lines = [
        rf"\begin{{table{wide}}}",
        r"\centering",
        rf"\caption{{{escape(chosen.caption)}}}",
        rf"\label{{{name}}}",
        rf"\{made.size or 'small'}\setlength{{\tabcolsep}}{{{SEPARATION:g}pt}}",
        rf"\begin{{tabular}}{{{made.spec}}}",
        *(r"\toprule", made.head, r"\midrule", *made.rows, r"\bottomrule"),
        r"\end{tabular}",
        rf"\end{{table{wide}}}",
    ]
    return "".join(f"{line}\n" for line in [NEEDS_NARROW, *said, *lines]).encode()


def _said(columns: int) -> list[str]:
    if columns <= WIDE:
        return [NEEDS]
    if columns <= TURNED:
        return [NEEDS, f"% {columns} columns: shrunk to the text's width"]
    return [NEEDS_TURNED, f"% {columns} columns: in landscape, shrunk to the page"]


def _short(columns: Sequence[str], above: list[str], head: list[str], rows: list[str]) -> list[str]:
    """A table that floats."""
    begin, end = rf"\begin{{tabular}}{{{''.join(columns)}}}", r"\end{tabular}"
    if len(columns) > WIDE:
        begin, end = rf"\resizebox{{\linewidth}}{{!}}{{{begin}", end + "}"
    body = [begin, *head, *rows, r"\bottomrule", end]
    return [r"\begin{table}", *above, *body, r"\end{table}"]


def _long(columns: Sequence[str], caption: str, head: list[str], rows: list[str]) -> list[str]:
    """A table over several pages, its head on each."""
    heads = [caption, *head, r"\endfirsthead", *head, r"\endhead", r"\bottomrule", r"\endfoot"]
    begin, end = rf"\begin{{longtable}}{{{''.join(columns)}}}", r"\end{longtable}"
    small = r"\tiny\setlength{\tabcolsep}{2pt}" if len(columns) > WIDE else r"\small"
    return [r"\begingroup", small, begin, *heads, *rows, end, r"\endgroup"]


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
