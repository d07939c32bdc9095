"""Judging that stops and resumes: replies in any order, torn lines, Ctrl-C, kill -9."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest
from fakes import Server, chat, rows, write
from jury import MARK, ask, ended_judging, lines_of, one, read
from progress import Silent

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.runs.judges import load_prompt


def replied(text, n):
    """A reply that depends on the call alone, after a pause that doesn't."""
    mark = list(load_prompt().marks.values())[sum(map(ord, text)) % 5]
    return 200, chat(mark, usage=(len(text), 1)), (), (hash((text, time.time())) % 7) / 1000


def test_verdicts_do_not_depend_on_the_order_in_which_replies_come(tmp_path):
    files = []
    with Server(replied) as server:  # the rows' run names the endpoint, too
        for number, concurrency in enumerate((1, 8)):
            folder = write(tmp_path / str(number), rows(prompts=3, interventions=("shift", "hold")))
            done = ask(folder, server, concurrency=concurrency)
            files.append(done.path.read_bytes())
            assert len(lines_of(folder)) == len(read(done)) == 24
    assert files[0] == files[1]
    assert len({row["verdict"] for row in read(done)}) == 5


def test_a_torn_last_line_is_cut_off_and_asked_again(tmp_path):
    folder = write(tmp_path, rows(prompts=2))
    with Server(replied) as server:
        done = ask(folder, server)
        whole, raw = done.path.read_bytes(), folder / "judge__jury.replies.jsonl"
        lines = raw.read_bytes().splitlines(keepends=True)
        raw.write_bytes(b"".join(lines[:3]) + lines[3][:20])
        done.path.write_bytes(whole[: whole.index(b"\n") + 1])
        server.asked.clear()
        done = ask(folder, server)
        assert len(server.asked) == len(lines) - 3
        assert done.path.read_bytes() == whole
        asked = len(server.asked)
        assert ask(folder, server).path.read_bytes() == whole
        assert len(server.asked) == asked, "a finished run asks nobody"
        raw.write_bytes(b"{}\n")
        done.path.write_bytes(whole[:-1])
        with pytest.raises(ProbeError, match="line 1: no reply of a judge"):
            ask(folder, server)
        assert ask(folder, server, fresh=True).path.read_bytes() == whole


def test_replies_under_another_prompt_count_for_nothing(tmp_path):
    folder = one(tmp_path)
    with Server(replied) as server:
        ask(folder, server)
        raw = folder / "judge__jury.replies.jsonl"
        raw.write_text(raw.read_text().replace('"version": 1', '"version": 0'))
        (folder / "judge__jury.csv").unlink()
        server.asked.clear()
        ask(folder, server)
        assert len(server.asked) == 2


def test_ctrl_c_ends_promptly_and_keeps_what_came(tmp_path):
    folder = write(tmp_path, rows(prompts=4))  # 16 calls

    class Impatient(Silent):
        came = 0

        def advance(self, cells, tokens):
            self.came += 1
            if self.came == 3:
                raise KeyboardInterrupt

    others = set(threading.enumerate())
    with Server(lambda text, n: (200, chat(MARK), (), 0.02)) as server:
        with pytest.raises(KeyboardInterrupt):
            ask(folder, server, Impatient())
        assert len(lines_of(folder)) == 3
        assert (folder / "judge__jury.csv").read_bytes().count(b"\n") == 1 + 3
        assert ended_judging(others)
        asked = len(server.asked)
        assert asked < 16, "threads stop when the call they are at has ended"
        done = ask(folder, server)
        assert len(server.asked) == asked + 16 - 3
    assert [row["verdict"] for row in read(done)] == ["A>B"] * 16


PATIENCE = 600
"""Seconds: only what hangs takes so long."""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_resumed_is_as_never_stopped(tmp_path, number):
    told = ["--judge", "jury", "--concurrency", "2", "--quiet"]
    lines = rows(prompts=5)
    first, second = write(tmp_path / "a", lines), write(tmp_path / "b", lines)
    hold = threading.Event()

    def reply(text, n):
        if len(server.asked) > 9 and not hold.is_set():
            hold.wait(PATIENCE)
        return replied(text, n)

    with Server(reply) as server, ExitStack() as ends:
        ends.callback(hold.set)
        hold.set()
        whole = ask(second, server).path.read_bytes()
        server.asked.clear()
        hold.clear()
        typed = [
            sys.executable,
            "-m",
            "mdlm_probe",
            "judge",
            first,
            "--endpoint",
            server.url,
            *told,
        ]
        running = subprocess.Popen(typed, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        raw = first / "judge__jury.replies.jsonl"
        while not raw.exists() or raw.read_bytes().count(b"\n") < 8:
            assert running.poll() is None, running.communicate()
            time.sleep(0.02)
        os.kill(running.pid, number)
        _, said = running.communicate(timeout=PATIENCE / 2)  # though two calls still hang
        assert running.returncode == (130 if number == signal.SIGINT else -number), said
        kept = raw.read_bytes().count(b"\n")
        raw.write_bytes(raw.read_bytes() + b'{"call": "to')
        server.asked.clear()
        hold.set()
        done = ask(first, server)
        assert len(server.asked) == 20 - kept
    assert done.path.read_bytes() == whole
