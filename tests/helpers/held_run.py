"""A command with workers whose work doesn't end by itself: `python held_run.py COMMAND...`."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

from ray_work import Changed, Held

from mdlm_probe.cli import main, run_probe

LAST = {"position": 4, "item": 6}
"""The cell that nobody finishes."""


def held(executor_of):
    """Executors whose workers are held at one cell, and can import what holds them."""

    @contextmanager
    def changed(workers, address):
        os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        with executor_of(workers, address) as executor:
            yield Changed(executor, Held(LAST))

    return changed


if __name__ == "__main__":
    run_probe.executor_of = held(run_probe.executor_of)
    main()
