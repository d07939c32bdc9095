"""The command `columns`: what every column of a probe's CSV holds."""

from __future__ import annotations

from collections.abc import Sequence

import click

from mdlm_probe.cli.completions import probe_names
from mdlm_probe.cli.show import echo_table
from mdlm_probe.core import catalog

HEADS = ("column", "type", "unit", "meaning")


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
        (name, column.name, column.type.__name__, column.unit, column.meaning)
        for name in probe or known
        for column in catalog.columns(name)
        if find.lower() in f"{column.name} {column.meaning}".lower()
    ]
    if len(probe) == 1:
        echo_table(HEADS, [row[1:] for row in found])
    else:
        echo_table(("probe", *HEADS), found)
