"""lm-eval without a hub, a screen or other processes."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")

import pytest
from eval_tasks import write


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder of tasks, see `eval_tasks`."""
    return write(tmp_path_factory.mktemp("tasks"))
