"""How tables and lines come out: as text, fitted to the terminal or not, or as one JSON value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import click


@dataclass
class Collected:
    """What a command would have printed, for `--json`."""

    tables: list[dict[str, Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def add_line(self, text: str) -> None:
        """A line of text; empty ones only part tables."""
        self.lines += [line for line in text.splitlines() if line.strip()]


COLLECTED: ContextVar[Collected | None] = ContextVar("collected", default=None)
WIDE: ContextVar[bool] = ContextVar("wide", default=False)


@contextmanager
def as_json() -> Iterator[None]:
    """Collects tables and lines, and prints them as one JSON value at the end."""
    collected = Collected()
    token = COLLECTED.set(collected)
    try:
        yield
    finally:
        COLLECTED.reset(token)
        found = {"tables": collected.tables, "lines": collected.lines}
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))


@contextmanager
def wide() -> Iterator[None]:
    """Tables have all their columns side by side."""
    token = WIDE.set(True)
    try:
        yield
    finally:
        WIDE.reset(token)


def _as_json(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.with_resource(as_json())


def _wide(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.with_resource(wide())


OPTIONS = [
    click.Option(
        ["--json", "json_"],
        is_flag=True,
        expose_value=False,
        callback=_as_json,
        help="Print tables and lines as one JSON value.",
    ),
    click.Option(
        ["--wide"],
        is_flag=True,
        expose_value=False,
        callback=_wide,
        help="On a terminal, tables keep all columns side by side.",
    ),
]


def with_options(command: click.Command) -> click.Command:
    """A command with the options of its output."""
    if isinstance(command, click.Group):
        return command
    for option in OPTIONS:
        if option not in command.params:
            command.params.append(option)
    return command
