"""Tables on stdout: of runs, of listings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from textwrap import fill
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rich.table import Table

from mdlm_probe.cli.fitting_tables import Block, fitted
from mdlm_probe.cli.output import COLLECTED, WIDE
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


def echo_made(made: dict[str, ProbeReport], run: str = "") -> None:
    """The tables that reports print, each under its probe and name.

    Args:
        made: the reports.
        run: what they are of, where there are several; "": nothing to say.
    """
    from mdlm_probe.reports.exports.column_units import unit_of
    from mdlm_probe.reports.percent import in_percent
    from mdlm_probe.reports.probe_report import shown

    for probe, tables in shown(made).items():
        for title, frame in tables.items():
            if len(frame):
                echo_frame(
                    frame,
                    partial(unit_of, probe, title),
                    title=f"{probe}: {title}",
                    run=run,
                    percent=in_percent(probe, title, frame),
                )


def echo_frame(
    frame: pd.DataFrame,
    unit: Callable[[str], str] = lambda column: "",
    *,
    title: str = "",
    run: str = "",
    err: bool = False,
    percent: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """A frame on stdout, its columns headed by their names.

    Args:
        frame: the table.
        unit: the unit of a column, by which whole numbers are told from shares.
        title: stands above it.
        run: what it is of, for JSON.
        err: whether it goes to stderr instead.
        percent: shares that the text has in percent, see `text_table`; JSON has them as they are.
    """
    from mdlm_probe.analysis.tables import text_table

    collected = COLLECTED.get()
    if collected and not err:
        rows = json.loads(frame.to_json(orient="records", double_precision=15))
        named = {"run": run} if run else {}
        collected.tables.append({**named, "title": title, "rows": rows})
        return
    if title:
        echo(f"\n{title}", err=err)
    table = text_table(frame, unit=unit, percent=percent)
    echo_table(table.heads, table.rows, err=err)


def echo_table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    err: bool = False,
    records: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """A table on stdout, or stderr: as wide as it needs to be where no terminal sets a width, in
    blocks below each other where one does.

    Args:
        heads, rows: the table.
        title: its name, for JSON.
        err: whether it goes to stderr instead.
        records: its rows for JSON, where texts would lose something; None: as they are shown.
    """
    collected = COLLECTED.get()
    if collected and not err:
        found = records or [dict(zip(heads, row, strict=True)) for row in rows]
        collected.tables.append({"title": title, "rows": list(found)})
        return
    console = Screen(stderr=err)
    common: dict[str, str] = {}
    blocks = [Block(tuple(heads), tuple(map(tuple, rows)))]
    if not console.is_terminal:
        console = Screen(stderr=err, width=10_000)
    elif not WIDE.get():
        blocks, common = fitted(heads, rows, console.width)
    for place, block in enumerate(blocks):
        if place:
            console.print()
        _print(console, block)
    if common:
        told = ", ".join(f"{head} {text}" for head, text in common.items())
        console.print(visible(f"In all rows: {told}"), highlight=False, markup=False)


def echo_sentences(lines: Iterable[str]) -> None:
    """Sentences on stdout, a line for each; on a terminal they are broken between words."""
    console = Screen()
    for line in lines:
        broken = console.is_terminal and COLLECTED.get() is None
        echo(fill(line, console.width, break_on_hyphens=False) if broken else line)


def _print(console: Screen, block: Block) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in block.heads:
        table.add_column(visible(head).replace("[", r"\["), overflow="fold")
    for row in block.rows:
        table.add_row(*(visible(text).replace("[", r"\[") for text in row))
    console.print(table, highlight=False)
