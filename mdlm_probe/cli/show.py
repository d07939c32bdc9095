"""Tables on stdout: of runs, of listings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd

    from mdlm_probe.reports.probe_report import ProbeReport


OVER = ("items", "sets")
"""Units that intervals are over; other intervals are named after what they are of."""


def show_report(folder: Path) -> None:
    """Prints the tables of a run, and says where the files are."""
    from mdlm_probe.reports.probe_report import make, save

    made, notes = make(folder)
    paths = save(folder, made)
    for note in notes:
        click.echo(note)
    echo_made(made)
    click.echo("\n" + "\n".join(f"wrote {path}" for path in paths))


def echo_made(made: dict[str, ProbeReport]) -> None:
    """The tables that reports print, each under its probe and name."""
    from mdlm_probe.reports.probe_report import shown

    for probe, tables in shown(made).items():
        for title, frame in tables.items():
            if len(frame):
                click.echo(f"\n{probe}: {title}")
                echo_table(*printable(frame))


def printable(frame: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """A frame as heads and cells: X_low and X_high become one interval of X, or over units X."""
    heads: list[str] = []
    columns: list[list[str]] = []
    for name in frame.columns:
        if str(name).endswith("_high"):
            continue
        if str(name).endswith("_low"):
            base = str(name).removesuffix("_low")
            ends = zip(frame[name], frame[f"{base}_high"], strict=True)
            heads.append(f"95 % {'over' if base in OVER else 'of'} {base}")
            columns.append(["-" if a != a else f"{number(a)} to {number(b)}" for a, b in ends])
        else:
            heads.append(str(name))
            columns.append([number(v) for v in frame[name]])
    return heads, [list(row) for row in zip(*columns, strict=True)]


def number(value: Any) -> str:
    """A value for a table: three decimals, small p-values in powers of ten."""
    if isinstance(value, float) and value != value:
        return "-"
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 0.0005 else f"{value:.3f}"
    return str(value)


def echo_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout; as wide as it needs to be where no terminal sets a width."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=10_000)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(text.replace("[", r"\[") for text in row))
    console.print(table, highlight=False)
