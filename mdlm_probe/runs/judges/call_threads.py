"""Calls in threads, several on the way at once; whatever ends them ends promptly."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence

from mdlm_probe.runs.judges.judge_calls import Call, Reply

POLL = 0.1
"""Seconds between two looks: a signal that comes just before a wait without end is never seen."""


def in_threads(
    calls: Sequence[Call], reply: Callable[[Call], Reply], threads: int
) -> Iterator[tuple[Call, Reply]]:
    """Replies to calls as they come.

    The threads are daemons, so that Ctrl-C needn't wait for calls that are on the way.

    Args:
        calls: to be answered.
        reply: answers one; what it raises ends all.
        threads: how many there are.
    """
    waiting: queue.SimpleQueue[Call] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Call, Reply | BaseException]] = queue.SimpleQueue()
    stopped = threading.Event()
    for call in calls:
        waiting.put(call)

    def work() -> None:
        while not stopped.is_set():
            try:
                call = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((call, reply(call)))
            except BaseException as error:
                stopped.set()
                done.put((call, error))

    for number in range(min(threads, len(calls))):
        threading.Thread(target=work, name=f"judge-{number}", daemon=True).start()
    try:
        for _ in calls:
            call, found = _next(done)
            if isinstance(found, BaseException):
                raise found
            yield call, found
    finally:
        stopped.set()


def _next(
    done: queue.SimpleQueue[tuple[Call, Reply | BaseException]],
) -> tuple[Call, Reply | BaseException]:
    while True:
        try:
            return done.get(timeout=POLL)
        except queue.Empty:
            continue
