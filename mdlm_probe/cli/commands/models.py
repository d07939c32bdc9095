"""The command `models`: the checkpoints known by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from mdlm_probe import models
from mdlm_probe.cli.output import COLLECTED, WIDE
from mdlm_probe.cli.screen import echo
from mdlm_probe.cli.show import echo_table

HEADS = (
    *("name", "family", "attention", "block", "size", "prompts", "context", "scored by"),
    *("started from", "source", "note"),
)
NARROW = ("name", "block", "size", "prompts", "context", "scored by")
"""What fits into 80 characters."""


@click.command(name="models")
def command() -> None:
    """Lists the checkpoints known by name, by family and what a token sees.

    --wide adds where each comes from and a note; --json has all that is known of them.

    Example: mdlm-probe models
    """
    entries = models.entries()
    if collected := COLLECTED.get():
        collected.tables.append({"title": "", "rows": [_facts(entry) for entry in entries]})
    elif WIDE.get():
        echo_table(HEADS, [[_row(entry)[head] for head in HEADS] for entry in entries])
    else:
        for title, group in _groups(entries):
            _echo_group(title, group)
        echo("")
    echo("Any hub id or local folder works, too: --model org/name, --model ./folder.")
    if not collected and not WIDE.get():
        echo("--wide says where each comes from, and more.")


def _groups(entries: Sequence[models.Checkpoint]) -> Iterator[tuple[str, list[models.Checkpoint]]]:
    """Entries by family and attention, families in the order of the registry."""
    families = list(dict.fromkeys(entry.family for entry in entries))
    kinds = ("bidirectional", "block-causal", "causal")

    def place(entry: models.Checkpoint) -> tuple[int, int]:
        return families.index(entry.family), kinds.index(entry.attention)

    for _, group in groupby(sorted(entries, key=place), key=place):
        found = list(group)
        yield f"{found[0].family}: {found[0].attention}", found


def _echo_group(title: str, entries: Sequence[models.Checkpoint]) -> None:
    heads = [head for head in NARROW if head != "block" or entries[0].block]
    heads = [head for head in heads if head != "scored by" or entries[0].kind == "masked"]
    echo(f"\n{title}")
    echo_table(heads, [[_row(entry)[head] for head in heads] for entry in entries])


def _row(entry: models.Checkpoint) -> dict[str, str]:
    return {
        "name": entry.name,
        "family": entry.family,
        "attention": entry.attention,
        "block": str(entry.block or "-"),
        "size": _size(entry.geometry.get("parameters", 0)),
        "prompts": "chat" if entry.chat else "base",
        "context": str(entry.context),
        "scored by": entry.companion or "-",
        "started from": entry.started_from or "-",
        "source": place(entry),
        "note": entry.note,
    }


def _facts(entry: models.Checkpoint) -> dict[str, Any]:
    """All fields of an entry, with what follows from them."""
    return {**asdict(entry), "source": place(entry), "attention": entry.attention}


def _size(parameters: int) -> str:
    """A number of parameters in short: 8.0B, 596M."""
    if not parameters:
        return "-"
    if parameters >= 1e9:
        return f"{parameters / 1e9:.1f}B"
    return f"{parameters / 1e6:.{0 if parameters >= 1e7 else 1}f}M"


def place(entry: models.Checkpoint) -> str:
    """Where a checkpoint comes from, in short."""
    return "bundled" if not entry.source or Path(entry.source).exists() else entry.source
