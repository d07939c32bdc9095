"""The fuzz campaign: odd input of every kind that users, checkpoints and servers can bring.

    python -m tests.fuzz.campaign --inputs 2000 --seed 0

A finding is an error that isn't the user's to mend (a traceback: anything but `ProbeError` or a
usage error), a hang, or a process that dies. Inputs run in worker processes, so that one that hangs
or crashes is known by its number and ends nothing else:

    python -m tests.fuzz.campaign --kind yaml --only 17 --seed 0      # one input again, here
"""

from __future__ import annotations

import argparse
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
from typing import Any

ROOT = Path(__file__).parents[2]

LIMIT = 20
"""Seconds of the processor that an input may take: a busy machine is no fault of it."""

WAIT = 10 * LIMIT
"""Seconds that it may take with all its waiting."""

SLACK = 40
"""Seconds more before its process is killed: it hangs where Python is not asked."""

CHUNK = 50
"""Inputs of a worker process at most."""


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
    """What a worker process does: it says what it begins, and what it found."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, last):
            print(json.dumps({"begun": number}), file=sys.__stdout__, flush=True)
            found = one(kind, number, seed, Path(folder))
            print(json.dumps({"done": number, "found": found}), file=sys.__stdout__, flush=True)


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

    def serve() -> None:
        while True:
            try:
                kind, first, last = waiting.get_nowait()
            except queue.Empty:
                return
            findings.extend(_watched(kind, first, last, seed))
            print(f"{kind}: {first} to {last - 1} tried", file=sys.stderr, flush=True)

    threads = [threading.Thread(target=serve) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(findings)


def _watched(kind: str, first: int, last: int, seed: int) -> list[str]:
    """Runs a chunk in a worker, and another for what is left where one hangs or dies."""
    findings: list[str] = []
    while first < last:
        command = [sys.executable, "-m", "tests.fuzz.campaign", "--kind", kind, "--seed", str(seed)]
        command += ["--from", str(first), "--to", str(last)]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as worker:
            at, first = _listened(worker, kind, first, findings)
        status = worker.returncode
        if first < last:
            findings.append(f"{kind} {at}: the process died with status {status}")
            first = at + 1 if at >= first else last
    return findings


def _listened(
    worker: subprocess.Popen[str], kind: str, first: int, findings: list[str]
) -> tuple[int, int]:
    """Hears a worker to its end; returns the last input begun, and the first not done."""
    at, timer = first - 1, threading.Timer(WAIT + SLACK, worker.kill)
    timer.start()
    for line in worker.stdout or ():
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
    asked.add_argument("--from", type=int, dest="first")
    asked.add_argument("--to", type=int, dest="last")
    given = asked.parse_args()
    if given.only is not None:
        given.first, given.last = given.only, given.only + 1
    if given.first is not None:
        work(given.kind[0], given.first, given.last, given.seed)
        return
    findings = campaign(given.inputs, given.seed, given.jobs, given.kind)
    hangs = sum(": hang" in finding for finding in findings)
    print("\n\n".join(findings))
    print(f"{given.inputs} inputs: {len(findings) - hangs} tracebacks or crashes, {hangs} hangs")
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
