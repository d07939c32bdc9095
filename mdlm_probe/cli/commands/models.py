"""The command `models`: the checkpoints known by name."""

from __future__ import annotations

from pathlib import Path

import click

from mdlm_probe import models
from mdlm_probe.cli.screen import echo
from mdlm_probe.cli.show import echo_table

HEADS = (
    *("name", "kind", "family", "prompts", "context", "source"),
    *("started from", "scored by", "note"),
)


@click.command(name="models")
def command() -> None:
    """Lists the checkpoints known by name.

    Example: mdlm-probe models
    """
    rows = [
        (
            *(e.name, e.kind, e.family, "chat" if e.chat else "base", str(e.context), place(e)),
            *(e.started_from or "-", e.companion or "-", e.note),
        )
        for e in models.entries()
    ]
    echo_table(HEADS, rows)
    echo("Any hub id or local folder works, too: --model org/name, --model ./folder.")


def place(entry: models.Checkpoint) -> str:
    """Where a checkpoint comes from, in short."""
    return "bundled" if not entry.source or Path(entry.source).exists() else entry.source
