"""Markdown: a file a probe with its tables, as GitHub shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mdlm_probe.reports.exports.captioned_tables import CaptionedTable, captioned_table
from mdlm_probe.reports.exports.exported_run import ExportedRun, ExportRequest

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
            for part in section(captioned_table(probe, name, frame))
        ).encode()
        for run in runs
        for probe, one in run.made.items()
    }


def section(made: CaptionedTable) -> list[str]:
    """A table under its title."""
    head, _, said = made.title.partition(": ")
    said = f"{said} {made.all_with}".strip()
    return [
        f"### {escape(head)}",
        "",
        *([escape(said), ""] if said else []),
        *table(made),
        "",
    ]


def table(made: CaptionedTable) -> list[str]:
    """A table's lines: numbers to the right, text to the left."""
    rule = ["---:" if numeric else ":---" for numeric in made.text.numeric]
    rows = [line(map(escape, row)) for row in made.text.rows]
    return [line(map(escape, made.text.heads)), line(rule), *rows]


def line(cells: Iterable[str]) -> str:
    """Cells between pipes."""
    return "| " + " | ".join(cells) + " |"


def escape(text: str) -> str:
    """A text as Markdown shows it, letter by letter."""
    return "".join(SPECIAL.get(character, character) for character in text)
