"""The screen: where tables and progress are drawn, and what happens when nobody looks any more."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from rich.console import Console


class Screen(Console):
    """Rich's console; that a pipe is closed is told to who draws, and ends no process by itself."""

    def on_broken_pipe(self) -> None:
        """Raises what it is called for.

        Raises:
            BrokenPipeError: always.
        """
        raise BrokenPipeError


def flush() -> None:
    """Writes out what waits to be; what nobody reads any more goes nowhere, without complaint."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:
            with suppress(OSError, ValueError):  # a stream of a test has no number
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
