"""Markdown: one file per probe with its tables, as GitHub shows them."""

from __future__ import annotations

from collections.abc import Sequence

from mdlm_probe.analysis.markdown_text import escape, line
from mdlm_probe.reports.exports.captioned_tables import CaptionedTable, captioned_table
from mdlm_probe.reports.exports.exported_run import ExportedRun, ExportRequest


def files(runs: Sequence[ExportedRun], request: ExportRequest) -> dict[str, bytes]:
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
