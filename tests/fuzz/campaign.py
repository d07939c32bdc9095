"""The fuzz campaign: odd input of every kind that users, checkpoints and servers can bring.

    python -m tests.fuzz.campaign --inputs 2000 --seed 0

A finding is an error that isn't the user's to mend (a traceback: anything but `ProbeError` or a
usage error), a hang, or a process that dies. Inputs run in worker processes, so that one that hangs
or crashes is known by its number and ends nothing else:

    python -m tests.fuzz.campaign --kind yaml --only 17 --seed 0      # one input again, here
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import random
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]

LIMIT = 20
"""Seconds of the processor that an input may take: a busy machine is no fault of it."""

WAIT = 10 * LIMIT
"""Seconds that it may take with all its waiting."""

SLACK = 40
"""Seconds more before its process is killed: it hangs where Python is not asked."""

CHUNK = 50
"""Inputs of one kind in a row, at most."""

LIFE = 200
"""Inputs of a worker process, about: its start takes seconds."""


class Hang(BaseException):
    """An input that takes too long."""


def one(kind: str, number: int, seed: int, folder: Path) -> str:
    """Runs an input; returns what was found, "" for nothing."""
    from tests.fuzz import targets

    def stop(*_: Any) -> None:
        raise Hang

    rng = random.Random(f"{seed} {kind} {number}")
    old = [signal.signal(one, stop) for one in (signal.SIGALRM, signal.SIGPROF)]
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    signal.setitimer(signal.ITIMER_REAL, WAIT)
    try:
        with tempfile.TemporaryDirectory(dir=folder) as home:
            os.chdir(home)
            targets.KINDS[kind][0](rng, Path(home))
    except Hang:
        return "hang:\n" + "".join(traceback.format_exc().splitlines(keepends=True)[-30:])
    except targets.mendable():
        return ""
    except BaseException:
        return traceback.format_exc()[-3000:]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for one, handler in zip((signal.SIGALRM, signal.SIGPROF), old, strict=True):
            signal.signal(one, handler)
        os.chdir(folder)
    return ""


def work(kind: str, first: int, last: int, seed: int) -> None:
    """Runs inputs of a kind here, and says what it begins, and what it found."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, last):
            print(json.dumps({"begun": number}), file=sys.__stdout__, flush=True)
            found = one(kind, number, seed, Path(folder))
            print(json.dumps({"done": number, "found": found}), file=sys.__stdout__, flush=True)


def serve(seed: int) -> None:
    """What a worker process does: inputs of the kinds and numbers that lines of stdin name."""
    with open(os.dup(0), encoding="utf-8") as lines:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # what inputs start reads none of them
        for line in lines:
            work(*json.loads(line), seed)


def campaign(inputs: int, seed: int, jobs: int = 2, kinds: Sequence[str] = ()) -> list[str]:
    """Runs so many inputs, or a few more, of all kinds; returns the findings."""
    from tests.fuzz.targets import KINDS

    chosen = {kind: KINDS[kind][1] for kind in kinds or KINDS}
    counts = {kind: -(-inputs * part // sum(chosen.values())) for kind, part in chosen.items()}
    ranges = [
        (kind, first, min(first + CHUNK, count))
        for kind, count in sorted(counts.items(), key=lambda one: chosen[one[0]])
        for first in range(0, count, CHUNK)
    ]
    waiting: queue.SimpleQueue[tuple[str, int, int]] = queue.SimpleQueue()
    for part in ranges:
        waiting.put(part)
    findings: list[str] = []

    def watch() -> None:
        with Workers(seed) as workers:
            while True:
                try:
                    kind, first, last = waiting.get_nowait()
                except queue.Empty:
                    return
                findings.extend(workers.tried(kind, first, last))
                print(f"{kind}: {first} to {last - 1} tried", file=sys.stderr, flush=True)

    threads = [threading.Thread(target=watch) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(findings)


class Workers:
    """One worker process after another: the next comes where one hangs, dies or has lived long."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._process: subprocess.Popen[str] | None = None
        self._tried = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def tried(self, kind: str, first: int, last: int) -> list[str]:
        """The findings of some inputs; where a worker ends before them all, another goes on."""
        findings: list[str] = []
        while first < last:
            worker = self._worker(last - first)
            at, first = _listened(worker, kind, first, last, findings)
            if first < last:
                findings.append(f"{kind} {at}: the process died with status {worker.wait()}")
                first = at + 1 if at >= first else last
                self._end()
        return findings

    def _worker(self, inputs: int) -> subprocess.Popen[str]:
        """The process that lives, or a new one, for so many inputs."""
        if self._process and self._tried >= LIFE:
            self._end()
        if self._process is None:
            self._tried = 0
            command = [sys.executable, "-m", "tests.fuzz.campaign", "--seed", str(self._seed)]
            self._process = subprocess.Popen(
                [*command, "--serve"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        self._tried += inputs
        return self._process

    def _end(self) -> None:
        """Ends the process that lives, if one does."""
        if self._process is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.communicate()
            self._process = None


def _listened(
    worker: subprocess.Popen[str], kind: str, first: int, last: int, findings: list[str]
) -> tuple[int, int]:
    """Gives a worker inputs, and hears it until they are done or it ends; returns the last input
    begun, and the first not done.
    """
    at, timer = first - 1, threading.Timer(WAIT + SLACK, worker.kill)
    timer.start()
    assert worker.stdin is not None
    assert worker.stdout is not None
    with contextlib.suppress(BrokenPipeError):  # it is gone: its output ends, too
        worker.stdin.write(json.dumps([kind, first, last]) + "\n")
        worker.stdin.flush()
    while first < last and (line := worker.stdout.readline()):
        timer.cancel()
        timer = threading.Timer(WAIT + SLACK, worker.kill)
        timer.start()
        said = json.loads(line)
        at = said.get("begun", at)
        if said.get("found"):
            findings.append(f"{kind} {at}: {said['found']}")
            print(findings[-1], file=sys.stderr, flush=True)
        first = said["done"] + 1 if "done" in said else first
    timer.cancel()
    return at, first


def main() -> None:
    """Says what was found, and how much was tried; the exit status is 1 where something was."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--inputs", type=int, default=2000)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--jobs", type=int, default=2)
    asked.add_argument("--kind", action="append", default=[])
    asked.add_argument("--only", type=int)
    asked.add_argument("--serve", action="store_true", help="what worker processes do")
    given = asked.parse_args()
    if given.serve:
        serve(given.seed)
        return
    if given.only is not None:
        work(given.kind[0], given.only, given.only + 1, given.seed)
        return
    findings = campaign(given.inputs, given.seed, given.jobs, given.kind)
    hangs = sum(": hang" in finding for finding in findings)
    print("\n\n".join(findings))
    print(f"{given.inputs} inputs: {len(findings) - hangs} tracebacks or crashes, {hangs} hangs")
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
