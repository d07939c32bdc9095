"""Ctrl-C that Python would drop comes again."""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

LATER = 0.05
"""Seconds until it comes again: what was being cleared up is over by then."""


@contextmanager
def obeyed() -> Iterator[None]:
    """Where Ctrl-C comes while something is cleared up, in a `__del__`, it takes effect after that.

    Errors raised there end nothing: Python prints them and goes on.
    """
    usual, timers = sys.unraisablehook, list[threading.Timer]()

    def hook(dropped: UnraisableHookArgs) -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            again = threading.Timer(LATER, _thread.interrupt_main)
            again.daemon = True
            timers.append(again)
            again.start()
        else:
            usual(dropped)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = usual
        for again in timers:  # what is over needn't be stopped, and what follows mustn't
            again.cancel()
