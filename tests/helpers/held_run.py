"""Commands with workers whose work doesn't end by itself: `python held_run.py "COMMAND..."...`.

All libraries are loaded once, and a process is forked for each command, with a session of its own.
A line on stdout says the process of each, in their order; another one, later, how one has ended.
What a command says is in a file beside its output folder, FOLDER.txt.
"""

import importlib
import os
import shlex
import sys
from contextlib import contextmanager
from pathlib import Path

from forked import forked
from ray_work import Changed, Held

from mdlm_probe.cli import main, run_probe
from mdlm_probe.runs.executors.on_ray import RayExecutor

LAST = {"position": 4, "item": 6}
"""The cell that nobody finishes."""


@contextmanager
def held(workers, address):
    """An executor on Ray, of one worker, too, all of whom are held at one cell."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    executor = RayExecutor(workers, address)
    try:
        yield Changed(executor, Held(LAST))
    finally:
        executor.close()


def started(words):
    """The id of a process that runs a command, whose last word is its output folder."""

    def work():
        os.setsid()
        said = os.open(f"{words[-1]}.txt", os.O_WRONLY | os.O_CREAT)
        os.dup2(said, 1)
        os.dup2(said, 2)
        main(words)

    return forked(work)


def run(commands):
    """Starts all, and says what becomes of them."""
    importlib.import_module("torch")
    children = [started(shlex.split(command)) for command in commands]
    print(*children, sep="\n", flush=True)
    for _ in children:
        child, status = os.wait()
        print(child, os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    run_probe.executor_of = held
    run(sys.argv[1:])
