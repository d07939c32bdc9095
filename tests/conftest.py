"""Shapes in signatures are checked here, and only here; shared fixtures."""

import functools
import gc
import os
import shutil
import signal
import sys

import shape_checks

shape_checks.check("mdlm_probe")  # before anything imports it

import pandas as pd  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from filelock import FileLock  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402
from simulations import WHOLE  # noqa: E402
from torch.utils import collect_env  # noqa: E402

# lm-eval without a hub, a screen or other processes
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")
torch.set_num_threads(1)
# as in `frames.light_texts`, which reports are made in, for tests that call a report's functions
pd.set_option("mode.string_storage", "python")
# lm-eval describes the machine after every evaluation, by programs that it starts: once is enough
collect_env.get_pretty_env_info = functools.cache(collect_env.get_pretty_env_info)
# whoever starts the suite in the background has Ctrl-C ignored, here and in what tests start
signal.signal(signal.SIGINT, signal.default_int_handler)

# a busy machine is no fault of a test: nothing is failed for how long it took
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

pytest_plugins = [
    "eval_fixtures",
    "export_fixtures",
    "judge_fixtures",
    "page_fixtures",
    "reference_fixtures",
]


def pytest_collection_modifyitems(config, items):
    """`gpu` tests run where CUDA is, `hub` tests where MDLM_PROBE_HUB is set; else: skipped.

    Of `statistics` tests those that need all their repetitions are for `make statistics` alone.
    """
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
