"""What pytest asks of the suite; shared fixtures."""

import gc
import os
import shutil
import signal
import sys

import pytest
from filelock import FileLock

# whoever starts the suite in the background has Ctrl-C ignored, here and in what tests start
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    """Prepares a process that runs tests. One that hands them to workers runs none.

    They wait for it before they start, and libraries that only tests need take seconds.
    """
    if config.getoption("dist", "no") == "no":
        gc.disable()  # until all is collected: nearly all that is made stays
        config.pluginmanager.import_plugin("preparation")


def pytest_collection_modifyitems(config, items):
    """`gpu` tests run where CUDA is, `hub` tests where MDLM_PROBE_HUB is set; else: skipped.

    Of `statistics` tests those that need all their repetitions are for `make statistics` alone.
    """
    import torch
    from simulations import WHOLE

    marks = {item: item.get_closest_marker("statistics") for item in items}
    left = [i for i, mark in marks.items() if mark and mark.kwargs.get("whole") and not WHOLE]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]
    wants = {
        "gpu": (torch.cuda.is_available(), "needs CUDA"),
        "hub": (bool(os.environ.get("MDLM_PROBE_HUB")), "needs real checkpoints: MDLM_PROBE_HUB=1"),
    }
    for item in items:
        for mark, (present, reason) in wants.items():
            if item.get_closest_marker(mark) and not present:
                item.add_marker(pytest.mark.skip(reason=reason))


_frozen = 0
"""Modules that were loaded when all objects were frozen last."""


def _freeze():
    """What is loaded by now stays: looking through it for garbage takes as long as many tests."""
    global _frozen
    gc.collect()
    gc.freeze()
    gc.enable()
    _frozen = len(sys.modules)


def pytest_collection_finish(session):
    _freeze()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """Freezes after every file, too: each measurement ends with a look for garbage."""
    ended = nextitem is None or nextitem.path != item.path
    if ended or len(sys.modules) > _frozen + 100:  # a library such as transformers
        _freeze()


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Makes a folder once for all workers, and gives each a copy: `once(name, make)`."""
    home = tmp_path_factory.getbasetemp()
    home = home.parent if "PYTEST_XDIST_WORKER" in os.environ else home

    def copied(name, make):
        folder, done = home / f"once-{name}", home / f"once-{name}.done"
        with FileLock(home / f"once-{name}.lock"):
            if not done.exists():
                make(folder)
                done.touch()
        return shutil.copytree(folder, tmp_path_factory.mktemp(name) / name)

    return copied


@pytest.fixture
def untimed(monkeypatch):
    """Plans as they are, but no layer of a large model is timed for them: that takes seconds."""
    from mdlm_probe.runs import cost

    for name in ("layer_rate", "layer_rate_aside"):
        monkeypatch.setattr(cost, name, lambda *_: 1e10)
