"""Work in threads: what comes, what ends it, and that a lost Ctrl-C is obeyed."""

import _thread
import os
import random
import signal
import threading
import time

import pytest

from mdlm_probe.core.threads import is_ctrl_c, results

PATIENCE = 30  # seconds: only what never comes takes so long


@pytest.mark.parametrize("at_once", [1, 3, 50])
def test_every_item_comes_once_with_its_result(at_once):
    found = list(results(lambda n: n * n, range(20), at_once=at_once, name="t"))
    assert sorted(found) == [(n, n * n) for n in range(20)]
    assert list(results(str, (), at_once=4, name="t")) == []


@pytest.mark.parametrize("at_once", [1, 3, 50])
def test_so_many_are_at_work_at_most(at_once):
    lock, now, most = threading.Lock(), [0], [0]

    def work(n):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.001)
        with lock:
            now[0] -= 1

    assert len(list(results(work, range(20), at_once=at_once, name="t"))) == 20
    assert most[0] <= min(at_once, 20)


def test_as_many_are_at_work_as_told():
    together = threading.Barrier(3)
    found = results(lambda n: together.wait(PATIENCE), range(6), at_once=3, name="t")
    assert len(list(found)) == 6


def test_results_come_before_slower_ones():
    slow = threading.Event()
    found = results(lambda n: n or slow.wait(PATIENCE), (0, 1), at_once=2, name="t")
    assert next(found) == (1, 1)
    slow.set()
    assert next(found) == (0, True)


def test_the_first_error_is_the_end_and_others_stop():
    begun = []

    def work(n):
        begun.append(n)
        if n == 2:
            raise ZeroDivisionError
        return n

    found = []
    with pytest.raises(ZeroDivisionError):
        found.extend(results(work, range(100), at_once=1, name="t"))
    assert begun == [0, 1, 2]


def test_an_end_of_waiting_stops_the_others():
    begun, go = [], threading.Event()

    def work(n):
        begun.append(n)
        go.wait(PATIENCE)

    with pytest.raises(TimeoutError, match="nothing came in 0 s"):
        next(results(work, range(9), at_once=2, name="judge-late", seconds=0.05))
    go.set()
    for thread in threading.enumerate():
        if thread.name.startswith("judge-late"):
            thread.join(PATIENCE)
            assert not thread.is_alive()
    assert len(begun) == 2


# the thread that a signal finds half begun, in Python's own locks, ends with an error of its own
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
def test_ctrl_c_is_obeyed_at_any_moment():
    """200 signals at random moments around the beginning of a wait that would have no end."""
    rng, hang = random.Random(0), threading.Event()

    def wait(seconds):
        def send():
            time.sleep(seconds)
            os.kill(os.getpid(), signal.SIGINT)

        _thread.start_new_thread(send, ())  # unlike a Thread's start, nothing waits for it
        return list(results(lambda _: hang.wait(PATIENCE), [1, 2], at_once=2, name="t"))

    try:
        for _ in range(200):
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                wait(rng.uniform(0, 0.004))
            assert time.monotonic() - began < PATIENCE
    finally:
        hang.set()


def test_a_ctrl_c_that_wakes_nobody_is_obeyed():
    """It comes as one just before a wait does: as a mark that is looked at between two turns."""
    never = threading.Event()

    def work(_):
        time.sleep(0.02)  # by now the other thread waits
        _thread.interrupt_main()
        never.wait(PATIENCE)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(results(work, range(3), at_once=3, name="t"))
    assert time.monotonic() - began < PATIENCE
    never.set()


def test_ctrl_c_that_breaks_the_start_of_a_thread_is_ctrl_c(monkeypatch):
    def broken(_):
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("release unlocked lock")

    monkeypatch.setattr(threading.Thread, "start", broken)
    with pytest.raises(KeyboardInterrupt):
        list(results(str, [1], at_once=1, name="t"))


def test_other_errors_at_the_start_of_a_thread_are_themselves(monkeypatch):
    def broken(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", broken)
    with pytest.raises(RuntimeError, match="new thread"):
        list(results(str, [1], at_once=1, name="t"))
    assert not is_ctrl_c(RuntimeError())
    assert not is_ctrl_c(None)
