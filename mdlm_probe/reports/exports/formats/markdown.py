"""Markdown: a file a probe with its tables, as GitHub shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mdlm_probe.reports.exports.exported_run import ExportedRun, ExportRequest
from mdlm_probe.reports.exports.text_table import Sheet, sheet

SPECIAL = {
    **{character: f"\\{character}" for character in "\\`*_[]|~$#"},
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "\n": " ",
    "\r": " ",
}


def files(runs: Sequence[ExportedRun], wish: ExportRequest) -> dict[str, bytes]:
    """PROBE.md with the reports' tables that hold something."""
    return {
        run.file(f"{probe}.md"): "\n".join(
            part
            for name, frame in one.tables.items()
            if len(frame)
            for part in section(sheet(probe, name, frame))
        ).encode()
        for run in runs
        for probe, one in run.made.items()
    }


def section(made: Sheet) -> list[str]:
    """A table under its title."""
    head, _, said = made.title.partition(": ")
    fixed = ", ".join(f"{name} {value}" for name, value in made.fixed.items())
    said += f" All with {fixed}." if fixed else ""
    return [
        f"### {escape(head)}",
        "",
        *([escape(said.strip()), ""] if said.strip() else []),
        *table(made),
        "",
    ]


def table(made: Sheet) -> list[str]:
    """A table's lines: numbers to the right, text to the left."""
    rule = ["---:" if number else ":---" for number in made.numbers]
    return [line(map(escape, made.heads)), line(rule), *(line(map(escape, r)) for r in made.rows)]


def line(cells: Iterable[str]) -> str:
    """Cells between pipes."""
    return "| " + " | ".join(cells) + " |"


def escape(text: str) -> str:
    """A text as Markdown shows it, letter by letter."""
    return "".join(SPECIAL.get(character, character) for character in text)
