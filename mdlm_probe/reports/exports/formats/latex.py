r"""LaTeX: one file per table, to \input where the packages named at its head are loaded."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mdlm_probe.reports.exports.captioned_tables import CaptionedTable, captioned_table
from mdlm_probe.reports.exports.exported_run import ExportedRun, ExportRequest
from mdlm_probe.reports.exports.latex_text import escape

NEEDS = r"% needs \usepackage{booktabs,graphicx,longtable,textcomp}"
NEEDS_TURNED = NEEDS.replace("graphicx,longtable", "graphicx,longtable,pdflscape")
WIDE = 7
"""A table of more columns is shrunk to the width of the text."""
TURNED = 12
"""A table of more columns has a page of its own, in landscape."""
LONG = 40
"""A table of more rows spans several pages."""


def files(runs: Sequence[ExportedRun], request: ExportRequest) -> dict[str, bytes]:
    """PROBE-TABLE.tex with each of the reports' tables."""
    return {
        run.file(f"{probe}-{name}.tex"): table(
            captioned_table(probe, name, frame), label(run, probe, name)
        )
        for run in runs
        for probe, one in run.made.items()
        for name, frame in one.tables.items()
        if len(frame)
    }


def label(run: ExportedRun, probe: str, name: str) -> str:
    r"""What \ref takes: tab:PROBE-TABLE, a study's run before it."""
    return "tab:" + re.sub(
        r"[^A-Za-z0-9:.-]+", "-", "-".join(filter(None, (run.name, probe, name)))
    )


def table(made: CaptionedTable, name: str) -> bytes:
    """A table as LaTeX: numbers to the right, text to the left, special characters escaped.

    The comment at its head says which packages it needs, and how it was made to fit.
    """
    title = escape(f"{made.title} {made.all_with}".strip())
    columns = "".join("r" if numeric else "l" for numeric in made.text.numeric)
    head = [r"\toprule", _row(made.text.heads), r"\midrule"]
    rows = [_row(row) for row in made.text.rows]
    if len(rows) > LONG:
        lines = _long(columns, rf"\caption{{{title}}}\label{{{name}}}\\", head, rows)
    else:
        above = [r"\centering", rf"\caption{{{title}}}", rf"\label{{{name}}}"]
        lines = _short(columns, above, head, rows)
    if len(columns) > TURNED:
        lines = [r"\begin{landscape}", *lines, r"\end{landscape}"]
    return "".join(f"{line}\n" for line in [*_said(len(columns)), *lines]).encode()


def _said(columns: int) -> list[str]:
    if columns <= WIDE:
        return [NEEDS]
    if columns <= TURNED:
        return [NEEDS, f"% {columns} columns: shrunk to the text's width"]
    return [NEEDS_TURNED, f"% {columns} columns: in landscape, shrunk to the page"]


def _short(columns: str, above: list[str], head: list[str], rows: list[str]) -> list[str]:
    """A table that floats."""
    begin, end = rf"\begin{{tabular}}{{{columns}}}", r"\end{tabular}"
    if len(columns) > WIDE:
        begin, end = rf"\resizebox{{\linewidth}}{{!}}{{{begin}", end + "}"
    body = [begin, *head, *rows, r"\bottomrule", end]
    return [r"\begin{table}", *above, *body, r"\end{table}"]


def _long(columns: str, caption: str, head: list[str], rows: list[str]) -> list[str]:
    """A table over several pages, its head on each."""
    heads = [caption, *head, r"\endfirsthead", *head, r"\endhead", r"\bottomrule", r"\endfoot"]
    begin, end = rf"\begin{{longtable}}{{{columns}}}", r"\end{longtable}"
    small = r"\tiny\setlength{\tabcolsep}{2pt}" if len(columns) > WIDE else r"\small"
    return [r"\begingroup", small, begin, *heads, *rows, end, r"\endgroup"]


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(escape, cells)) + r" \\"
