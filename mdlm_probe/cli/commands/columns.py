"""The command `columns`: what every column of a probe's CSV holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from mdlm_probe.cli.completions import probe_names
from mdlm_probe.cli.screen import echo
from mdlm_probe.cli.show import echo_table
from mdlm_probe.core import catalog
from mdlm_probe.core.columns import Column

HEADS = ("column", "type", "unit", "meaning")
ELSEWHERE = "What the columns of a report's tables hold:"


@click.command(name="columns", short_help="What every column of a CSV holds.")
@click.argument("probe", nargs=-1, shell_complete=probe_names)
@click.option("--find", default="", help="Only columns whose name or meaning has this text.")
def command(probe: Sequence[str], find: str) -> None:
    """Says what every column of a probe's rows holds; default: of all probes, and of verdicts.

    Example: mdlm-probe columns masks
    """
    known = [*catalog.names("probe"), catalog.JUDGE]
    for name in probe:
        if name not in known:
            raise catalog.unknown("probe", name, known)
    found = [
        (name, kind, column.name, column.kind, column.unit, column.meaning)
        for name in probe or known
        for kind, column in _columns(name)
        if find.lower() in f"{column.name} {column.meaning}".lower()
    ]
    several = any(row[1] for row in found)
    kept = [n for n in range(6) if n > 1 or (n == 1 and several) or (n == 0 and len(probe) != 1)]
    heads = ("probe", "rows", *HEADS)
    echo_table([heads[n] for n in kept], [[row[n] for n in kept] for row in found])
    if not found:
        echo(f"no column of rows has '{find}' in its name or meaning")
    echo(f"\n{ELSEWHERE} {_page(probe[0] if len(probe) == 1 else 'PROBE')}")


def _page(name: str) -> str:
    """Where the documentation of a probe, or of verdicts, stands."""
    return "docs/judges.md" if name == catalog.JUDGE else f"docs/probes/{name}.md"


def _columns(name: str) -> Iterator[tuple[str, Column]]:
    """The columns of a probe's CSVs, each with the kind of rows; "" where all kinds have it."""
    first, *others = kinds = catalog.observations(name)
    own = len(catalog.coordinates(name)) + 1 if others else 0
    yield from (("", column) for column in first.columns[:own])
    yield from ((kind.name, column) for kind in kinds for column in kind.columns[own:])
