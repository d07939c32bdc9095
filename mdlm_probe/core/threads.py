"""Work in threads, for whose results one waits in short turns, so that Ctrl-C is obeyed at once."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

TURN = 0.1
"""Seconds that one turn of waiting takes: a wait without an end never sees a Ctrl-C that comes just
before it begins."""


def results(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    at_once: int,
    name: str,
    seconds: float = math.inf,
) -> Iterator[tuple[Item, Result]]:
    """Each item with what `work` makes of it, as they come; the first error is the end.

    The threads are daemons: nothing waits for calls that are on the way, when it is over.

    Args:
        work: what is done with an item.
        items: all of them.
        at_once: number of threads.
        name: what the threads are called after.
        seconds: how long a result may take to come.

    Raises:
        TimeoutError: nothing came for so long.
    """
    waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Item, Result] | BaseException] = queue.SimpleQueue()
    stopped = threading.Event()
    for item in items:
        waiting.put(item)

    def worker() -> None:
        while not stopped.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((item, work(item)))
            except BaseException as error:
                stopped.set()
                done.put(error)

    try:
        for number in range(min(at_once, len(items))):
            _start(threading.Thread(target=worker, name=f"{name}-{number}", daemon=True))
        for _ in items:
            found = _next(done, seconds)
            if isinstance(found, BaseException):
                raise found
            yield found
    finally:
        stopped.set()


def is_ctrl_c(error: BaseException | None) -> bool:
    """Whether an error is Ctrl-C, or was raised while that was on its way.

    `threading` raises such errors about its own locks, when Ctrl-C comes while it waits for one.
    """
    while error and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _start(thread: threading.Thread) -> None:
    try:
        thread.start()
    except RuntimeError as error:
        if is_ctrl_c(error):
            raise KeyboardInterrupt from error
        raise


def _next(
    done: queue.SimpleQueue[tuple[Item, Result] | BaseException], seconds: float
) -> tuple[Item, Result] | BaseException:
    """What comes next."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        with suppress(queue.Empty):
            return done.get(timeout=min(TURN, left))
    raise TimeoutError(f"nothing came in {seconds:.0f} s")
