"""The command `report`: tables on stdout; files and one HTML page from a run's or study's CSVs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mdlm_probe.cli.screen import echo
from mdlm_probe.cli.show import echo_frame, echo_made

if TYPE_CHECKING:
    from mdlm_probe.reports.html import ReportedRun
    from mdlm_probe.reports.pictures import Style

HELP = """Rebuilds the tables, figures and HTML page of a run or a study from its CSVs alone.

FOLDER/report.html is one file that needs nothing else, not even a network. Figures are PNG, SVG and
PDF files; for a paper each has the width of a column (3.3 inches) and of a page's text (6.8).

Example: mdlm-probe report results/locality
"""


def callback(folder: Path, style: Style) -> None:
    """Prints the tables, and says which files were written."""
    write(folder, tables=True, style=style)


def write(folder: Path, tables: bool, style: Style = "screen") -> None:
    """Writes all that belongs to a folder, and says what was written, the page last.

    Args:
        folder: of a run or a study.
        tables: whether to print the tables, too.
        style: of the pictures beside the page.

    Raises:
        ProbeError: no run, rows that a report can't read, or a folder that can't be written.
    """
    from mdlm_probe.reports import html

    runs = html.read(folder)
    helped = html.changed(folder, runs)
    paths = html.write(folder, runs, style, helped)
    for run in runs:
        _echo(run, tables=tables)
    for note in helped.notes if helped else ():
        echo(note)
    for title, table in (helped.tables if helped and tables else {}).items():
        if title == "losses":  # a line for every step: the picture and the CSV have them
            continue
        echo_frame(table, title=f"remedies: {title}")
    shown = paths if tables else paths[-1:]
    echo("\n" + "\n".join(f"wrote {path}" for path in shown))


def _echo(run: ReportedRun, *, tables: bool) -> None:
    """A run's notes and tables, under its name where it is one of a study."""
    if run.name and (tables or run.notes):
        echo(f"\n== {run.name} ==")
    for note in run.notes:
        echo(note)
    if tables:
        echo_made(run.made, run.name)


command = click.Command(
    "report",
    callback=callback,
    params=[
        click.Argument(["folder"], type=click.Path(path_type=Path)),
        click.Option(
            ["--style"],
            type=click.Choice(["screen", "paper"]),
            default="screen",
            help="Figures for a screen, or for a paper: 3.3 and 6.8 inches wide, text of 8 points.",
        ),
    ],
    help=HELP,
    short_help="Rebuilds tables, figures and the HTML page from CSVs alone.",
)
