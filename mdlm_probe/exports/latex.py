r"""LaTeX: a file a table, to \input where `booktabs` is loaded."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mdlm_probe.exports._base import Run, Wish
from mdlm_probe.exports._cells import Sheet, sheet

SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "\n": " ",
    "∞": r"$\infty$",
    "×": r"$\times$",
    "[": "{[}",  # after a line's end it would be that command's option
    "]": "{]}",
}
NEEDS = r"% needs \usepackage{booktabs,graphicx,longtable}"
WIDE = 7
"""A table of more columns is shrunk to the width of the text."""
LONG = 40
"""A table of more rows goes on over pages."""


def files(runs: Sequence[Run], wish: Wish) -> dict[str, bytes]:
    """PROBE-TABLE.tex with each of the reports' tables."""
    return {
        run.file(f"{probe}-{name}.tex"): table(sheet(probe, name, frame), label(run, probe, name))
        for run in runs
        for probe, one in run.made.items()
        for name, frame in one.tables.items()
        if len(frame)
    }


def label(run: Run, probe: str, name: str) -> str:
    r"""What \ref takes: tab:PROBE-TABLE, a study's run before it."""
    return "tab:" + re.sub(
        r"[^A-Za-z0-9:.-]+", "-", "-".join(filter(None, (run.name, probe, name)))
    )


def table(made: Sheet, name: str) -> bytes:
    """A table as LaTeX: numbers to the right, text to the left, special characters escaped."""
    fixed = ", ".join(f"{head} {value}" for head, value in made.fixed.items())
    title = escape(made.title + (f" All with {fixed}." if fixed else ""))
    columns = "".join("r" if number else "l" for number in made.numbers)
    head = [r"\toprule", _row(made.heads), r"\midrule"]
    rows = [_row(row) for row in made.rows]
    if len(rows) > LONG:
        lines = _long(columns, rf"\caption{{{title}}}\label{{{name}}}\\", head, rows)
    else:
        above = [r"\begin{table}", r"\centering", rf"\caption{{{title}}}", rf"\label{{{name}}}"]
        begin, end = rf"\begin{{tabular}}{{{columns}}}", r"\end{tabular}"
        if len(columns) > WIDE:
            begin, end = rf"\resizebox{{\textwidth}}{{!}}{{{begin}", end + "}"
        lines = [*above, begin, *head, *rows, r"\bottomrule", end, r"\end{table}"]
    return "".join(f"{line}\n" for line in [NEEDS, *lines]).encode()


def _long(columns: str, caption: str, head: list[str], rows: list[str]) -> list[str]:
    """A table over several pages, its head on each."""
    heads = [caption, *head, r"\endfirsthead", *head, r"\endhead", r"\bottomrule", r"\endfoot"]
    begin, end = rf"\begin{{longtable}}{{{columns}}}", r"\end{longtable}"
    small = r"\tiny" if len(columns) > WIDE else r"\small"
    return [r"\begingroup", small, begin, *heads, *rows, end, r"\endgroup"]


def _row(cells: list[str]) -> str:
    return " & ".join(map(escape, cells)) + r" \\"


def escape(text: str) -> str:
    """A text as LaTeX prints it."""
    escaped = "".join(SPECIAL.get(character, character) for character in text)
    return re.sub(r"(?<![\w.])-(?=[\d.]|\$)", "$-$", escaped)  # a minus, no hyphen
