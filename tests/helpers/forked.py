"""Processes forked from one in which all libraries are loaded: a new interpreter takes seconds."""

import os
import sys
import traceback
from collections.abc import Callable


def forked(work: Callable[[], int | None]) -> int:
    """The id of a process that does some work, and ends with what it returns (None: 0) as status.

    An exit's status is the process's, too; another error is printed with its traceback, and ends it
    with 1.
    """
    if child := os.fork():
        return child
    status = 1
    try:
        status = work() or 0
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:  # whatever happens, it must not go on as another of what forked it
            os._exit(status)
