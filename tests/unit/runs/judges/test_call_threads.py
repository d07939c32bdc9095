"""Calls in threads: each is answered once, errors end all, and so does Ctrl-C."""

import os
import random
import signal
import threading
import time

import pytest

from mdlm_probe.runs.judges.call_threads import in_threads


@pytest.mark.parametrize("threads", [1, 3, 50])
def test_every_call_is_answered_once_by_at_most_so_many_threads(threads):
    lock, now, most = threading.Lock(), [0], [0]

    def reply(call):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.001)
        with lock:
            now[0] -= 1
        return {"response": call}

    found = list(in_threads(range(20), reply, threads))
    assert sorted(call for call, _ in found) == list(range(20))
    assert all(answer == {"response": call} for call, answer in found)
    assert most[0] <= min(threads, 20)


def test_an_error_ends_all():
    asked = []

    def reply(call):
        asked.append(call)
        if call == 5:
            raise ValueError("no")
        return {}

    found = []
    with pytest.raises(ValueError, match="no"):
        found.extend(in_threads(range(1000), reply, 2))
    assert len(asked) < 1000


def test_no_call_is_no_thread():
    assert list(in_threads([], pytest.fail, 4)) == []


def test_ctrl_c_is_obeyed_at_any_moment_though_calls_hang():
    """200 signals at random moments around the beginning of a wait that would have no end."""
    random.seed(0)
    hang = threading.Event()

    def wait(seconds):
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        return list(in_threads([1, 2], lambda call: hang.wait(60), 2))

    try:
        for _ in range(200):
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                wait(random.uniform(0, 0.004))
            assert time.monotonic() - began < 5
    finally:
        hang.set()
