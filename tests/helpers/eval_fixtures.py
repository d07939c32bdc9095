"""lm-eval tasks of our own."""

import pytest
from eval_tasks import write


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder of tasks, see `eval_tasks`."""
    return write(tmp_path_factory.mktemp("tasks"))
