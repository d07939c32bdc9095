"""The screen: where tables and progress are drawn, and what happens when nobody looks any more."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress

import click
from rich.console import Console

from mdlm_probe.cli.output import COLLECTED

CUT_SHORT = 141
"""The exit code of a command that ended amid its work since nobody read any more, as a shell has it
for programs that end so: 128 + SIGPIPE.
"""


class Screen(Console):
    """Rich's console; that a pipe is closed is told to who draws, and ends no process by itself."""

    def on_broken_pipe(self) -> None:
        """Raises what it is called for.

        Raises:
            BrokenPipeError: always.
        """
        raise BrokenPipeError


HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters that a terminal obeys instead of showing them, but for line breaks and tabs."""


def visible(text: str) -> str:
    """A text as it is shown: what would steer a terminal is spelled, such as `\\x1b`."""
    return HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def echo(text: object, *, err: bool = False, nl: bool = True) -> None:
    """A text on stdout, or stderr, in which nothing steers the terminal."""
    collected = COLLECTED.get()
    if collected and not err:
        collected.add_line(visible(str(text)))
    else:
        click.echo(visible(str(text)), err=err, nl=nl)


def check_readers(error: Sequence[object]) -> None:
    """Ends a command whose readers had enough amid its work: what follows isn't done.

    Args:
        error: what a context manager is told when the work ends.

    Raises:
        Exit: with the code `CUT_SHORT`, where they had.
    """
    if any(isinstance(part, BrokenPipeError) for part in error):
        raise click.exceptions.Exit(CUT_SHORT)


def flush() -> None:
    """Writes out what waits to be; what nobody reads any more goes nowhere, without complaint."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:
            with suppress(OSError, ValueError):  # a stream of a test has no number
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
