"""Random kills: commands stopped by SIGKILL at any moment, resumed, and compared byte for byte.

    python -m tests.fuzz.kills --kills 100 --seed 0

Each command runs once undisturbed. Then it is started and killed at random moments of the time that
took, as often as asked, and at last runs to its end: every file of rows, answers and replies must
be what it was. Processes are forked from one that has imported everything, and draw no figures at
their end (those are made of the rows), so that kills fall into the work.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.forked import forked

FEW = "--tasks verb-smallest --shots 2 --distractors 4 --batch-tokens 300"
COMMANDS = {
    "locality": f"locality -m oracle {FEW} --limit 30 --positions 0,4",
    "masks": f"masks -m oracle {FEW} --limit 20 --masks 0,5",
    "attribution": "attribution -m tiny-mdlm --tasks verb-smallest --distractors 2 --limit 4",
    "needle": "needle -m oracle --lengths 128 --limit 12 --batch-tokens 300",
    "decay": "decay -m tiny-mdlm --limit 2 --masks 8",
    "joint": "joint -m oracle --limit 1 --masks 4",
    "shift": "shift -m tiny-mdlm --length 16 --limit 2",
    "blocks": "blocks -m tiny-mdlm --length 16 --limit 1",
    "eval": "eval -m tiny-mdlm --tasks suite_animal_words --limit 8",
    "judge": "judge {folder} --judge-model tiny-arlm --limit 2",
}
"""Ten commands that take a second or so; `judge` is about a finished run of `shift`."""

KEPT = ("*__*.csv", "*__*.jsonl")
"""Files whose bytes must not change."""


def start(command: str, folder: Path) -> int:
    """Starts a command in a process of its own; returns its id."""
    words = command.format(folder=folder).split()
    words += [] if words[0] == "judge" else ["-o", str(folder)]

    def work() -> None:
        sink = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(sink, stream)
        from mdlm_probe.cli import main

        main([*words, "--device", "cpu", "-q"], standalone_mode=False)

    return forked(work)


@contextmanager
def killed(command: str, folder: Path) -> Iterator[Callable[[], bool]]:
    """A command in a process of its own, killed at the end; gives whether it still lives."""
    child, over = start(command, folder), False

    def lives() -> bool:
        nonlocal over
        over = over or os.waitpid(child, os.WNOHANG)[0] == child
        return not over

    try:
        yield lives
    finally:
        if lives():
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def finished(child: int) -> bool:
    """Whether a process has come to its end by itself."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def kept(folder: Path) -> dict[str, bytes]:
    """The bytes that count."""
    return {p.name: p.read_bytes() for kind in KEPT for p in sorted(folder.glob(kind))}


def changed(name: str, kills: int, rng: random.Random, home: Path) -> Iterator[str]:
    """The files of a command that kills changed; and what else went wrong."""
    command, whole, folder = COMMANDS[name], home / f"{name}-whole", home / name
    made = home / "made"
    if name == "judge":
        if not made.exists() and not finished(start(COMMANDS["shift"], made)):
            yield "shift, which is judged, failed"
            return
        shutil.copytree(made, whole)
    began = time.monotonic()
    if not finished(start(command, whole)):
        yield "the undisturbed command failed"
        return
    seconds = time.monotonic() - began
    for _ in range(kills):
        if not folder.exists() and name == "judge":
            shutil.copytree(made, folder)
        child = start(command, folder)
        time.sleep(rng.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        if finished(child):  # it was faster: the next one begins anew
            shutil.rmtree(folder)
    if not folder.exists() and name == "judge":
        shutil.copytree(made, folder)
    if not finished(start(command, folder)):
        yield "the resumed command failed"
    expected, found = kept(whole), kept(folder)
    for file in sorted(expected.keys() | found.keys()):
        if expected.get(file) != found.get(file):
            yield f"{file} has other bytes"


def main() -> None:
    """Says what kills changed; the exit status is 1 where they changed something."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--kills", type=int, default=100)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--command", action="append", choices=COMMANDS)
    given = asked.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    for room in ("engine.engine", "harness.run", "runs.judges.local_model", "analysis.frames"):
        importlib.import_module(f"mdlm_probe.{room}")
    for room in ("cli.run_probe", "cli.commands.judge"):
        vars(importlib.import_module(f"mdlm_probe.{room}"))["show_report"] = lambda folder: None

    rng, wrong, names = random.Random(given.seed), 0, given.command or list(COMMANDS)
    with tempfile.TemporaryDirectory() as home:
        for at, name in enumerate(names):
            kills = given.kills * (at + 1) // len(names) - given.kills * at // len(names)
            found = list(changed(name, kills, rng, Path(home)))
            wrong += len(found)
            print(f"{name}: {kills} kills, {'; '.join(found) or 'no byte changed'}", flush=True)
    print(f"{given.kills} kills of {len(names)} commands: {wrong} files changed or commands failed")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
