"""Ctrl-C at random moments: obeyed each time, and what was there by then is kept.

`make statistics` tries two hundred.
"""

import gc
import os
import random
import signal
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from commands import call
from fakes import Server, chat, rows, write
from jury import MARK, ended_judging
from simulations import WHOLE, repeats, simulation

pytestmark = [
    simulation,
    pytest.mark.usefixtures("verdicts_alone"),
    # a file that is stopped before it is closed is closed by Python, which says so
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
PATIENCE = 600
"""Seconds: only what hangs takes so long."""
STEP = 0.001
"""Seconds between looks at how much was worked."""
CSV = "locality__oracle.csv"
QUICK = "--tasks verb-smallest --limit 30 --shots 2 --distractors 4 --positions 0,4".split()


@contextmanager
def ctrl_c(work, to_any_thread, waits=None):
    """Sends SIGINT once what is inside has worked, but nothing once it has ended.

    Args:
        work: seconds of the processor: what a busy machine takes for that doesn't matter.
        to_any_thread: whether the main thread isn't woken.
        waits: an event that says that it waits and works no more.
    """
    begun, over = threading.Event(), threading.Event()
    waits = waits or threading.Event()

    def handler(number, frame):  # runs between two lines of the main thread
        if not over.is_set():
            raise KeyboardInterrupt

    def send():
        begun.wait()
        end = time.process_time() + work
        while time.process_time() < end and not waits.is_set() and not over.wait(STEP):
            pass
        if not over.is_set():
            if to_any_thread:  # the main thread isn't woken then: as if it came before a wait
                signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            else:
                os.kill(os.getpid(), signal.SIGINT)

    old = signal.signal(signal.SIGINT, handler)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        begun.set()
        yield
    finally:
        over.set()
        sender.join(PATIENCE)
        signal.signal(signal.SIGINT, old)


class Hanging(Server):
    """Replies to the first calls of every turn; the others hang until the turn is over."""

    def __init__(self):
        self.turn, self.left, self.hangs = threading.Event(), 0, threading.Event()
        super().__init__(self._reply)

    def begin(self, replies):
        self.turn.set()
        self.turn, self.left, self.hangs = threading.Event(), replies, threading.Event()

    def _reply(self, text, before):
        self.left -= 1
        if self.left < 0:
            turn = self.turn
            self.hangs.set()
            turn.wait(PATIENCE)
        return 200, chat(MARK)


def tries(count, enough):
    """Numbers of tries: so many, and more where a slow machine was stopped too early too often."""
    for number in range(10 * count):
        if number >= count and enough():
            return
        yield number
    pytest.fail(f"{10 * count} tries were too few")


class Kept:
    """An event: something was written to a file."""

    def __init__(self, path):
        self.path = path

    def is_set(self):
        return self.path.exists() and self.path.stat().st_size > 0


def judge(folder, server, code=0):
    asked = ["--endpoint", server.url, "--judge", "jury", "--timeout", PATIENCE, "--retries", 0]
    return call("judge", folder, *asked, "--concurrency", 2, "-q", code=code)


def test_a_judge_that_hangs(tmp_path):
    # more calls than all turns together have replies
    rng, lines = random.Random(0), rows(prompts=20 if WHOLE else 4, fracs=(0.1, 0.2, 0.3))
    folder, whole = write(tmp_path / "run", lines), write(tmp_path / "whole", lines)
    replies, kept, obeyed = folder / "judge__jury.replies.jsonl", 0, []
    others = set(threading.enumerate())
    with Hanging() as server:
        server.begin(replies=1000)
        judge(whole, server)  # and all modules are loaded
        turns = repeats(160)
        for number in tries(turns, lambda: len(obeyed) > 0.6 * turns):
            server.begin(replies=number % 3)
            work, waits = rng.uniform(0, 0.15), server.hangs
            if number == 2:  # in the others Ctrl-C may come before the first reply does
                work, waits = PATIENCE, Kept(replies)
            with suppress(KeyboardInterrupt), ctrl_c(work, number % 2, waits):
                result = judge(folder, server, code=None)  # 1 where no command has begun
                assert result.exit_code == 130 or "Aborted!" in result.output, result.output
                obeyed.append(number)  # else it came when nothing had begun
            size = replies.stat().st_size if replies.exists() else 0
            assert size >= kept, "what came is kept"
            kept = size
        assert ended_judging(others), "calls on the way end with the command"
        server.begin(replies=1000)
        judge(folder, server)
        server.turn.set()
    gc.collect()  # a connection of a client that was stopped before its first call, as above
    assert kept > 0
    verdicts = [(place / "judge__jury.csv").read_bytes() for place in (folder, whole)]
    assert verdicts[0] == verdicts[1]


def test_a_measurement(tmp_path):
    rng, stopped, kept, turns = random.Random(1), [], 0, repeats(40)
    asked = ["locality", "-m", "oracle", "--batch-tokens", 300, *QUICK, "-q", "-o"]
    call(*asked, tmp_path / "whole")
    expected, folder = (tmp_path / "whole" / CSV).read_bytes(), tmp_path / "cut"
    for number in tries(turns, lambda: len(stopped) >= turns / 4):
        with suppress(KeyboardInterrupt), ctrl_c(rng.uniform(0, 0.4), number % 2):
            result = call(*asked, folder, code=None)
            assert result.exit_code in (0, 130) or "Aborted!" in result.output, result.output
            if result.exit_code == 130:
                stopped.append(number)
        rows = (folder / CSV).read_bytes() if (folder / CSV).exists() else b""
        assert expected.startswith(rows[: rows.rfind(b"\n") + 1])
        assert len(rows) >= kept, "whole groups are kept"
        kept = len(rows)
        if rows == expected:
            folder, kept = tmp_path / f"cut{number}", 0
    call(*asked, folder)
    assert (folder / CSV).read_bytes() == expected
