"""Tables on stdout: of runs, of listings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from mdlm_probe.cli.screen import Screen, echo, visible

if TYPE_CHECKING:
    import pandas as pd

    from mdlm_probe.reports.probe_report import ProbeReport


def show_report(folder: Path) -> None:
    """Prints the tables of a run, and says where the files are."""
    from mdlm_probe.reports.probe_report import make, save

    made, notes = make(folder)
    paths = save(folder, made)
    for note in notes:
        echo(note)
    echo_made(made)
    echo("\n" + "\n".join(f"wrote {path}" for path in paths))


def echo_made(made: dict[str, ProbeReport]) -> None:
    """The tables that reports print, each under its probe and name."""
    from mdlm_probe.reports.exports.column_units import unit_of
    from mdlm_probe.reports.probe_report import shown

    for probe, tables in shown(made).items():
        for title, frame in tables.items():
            if len(frame):
                echo(f"\n{probe}: {title}")
                echo_frame(frame, partial(unit_of, probe, title))


def echo_frame(
    frame: pd.DataFrame, unit: Callable[[str], str] = lambda column: "", *, err: bool = False
) -> None:
    """A frame on stdout, its columns headed by their names.

    Args:
        frame: the table.
        unit: the unit of a column, by which whole numbers are told from shares.
        err: whether it goes to stderr instead.
    """
    from mdlm_probe.analysis.tables import text_table

    table = text_table(frame, unit=unit)
    echo_table(table.heads, table.rows, err=err)


def echo_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, err: bool = False) -> None:
    """A table on stdout, or stderr; as wide as it needs to be where no terminal sets a width."""
    console = Screen(stderr=err)
    if not console.is_terminal:
        console = Screen(stderr=err, width=10_000)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in heads:
        table.add_column(visible(head).replace("[", r"\["), overflow="fold")
    for row in rows:
        table.add_row(*(visible(text).replace("[", r"\[") for text in row))
    console.print(table, highlight=False)
