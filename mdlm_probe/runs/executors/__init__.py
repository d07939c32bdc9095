"""Executors: in this process or on Ray; and whom a caller lent, or one for itself alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mdlm_probe.runs.executors.contract import Executor
from mdlm_probe.runs.executors.in_process import InProcess

__all__ = ["Executor", "InProcess", "executor_of", "lent"]


@contextmanager
def executor_of(workers: int, address: str = "") -> Iterator[Executor]:
    """An executor of so many workers, ended afterwards: this process where one is enough.

    Args:
        workers: how many; 0 says nothing.
        address: of a Ray cluster; "": on this machine.
    """
    if workers > 1 or address:
        from mdlm_probe.runs.executors.on_ray import RayExecutor  # with what others don't wait for

        executor: Executor = RayExecutor(workers, address)
    else:
        executor = InProcess()
    try:
        yield executor
    finally:
        executor.close()


@contextmanager
def lent(executor: Executor | None) -> Iterator[Executor]:
    """The executor that is given; none: one in this process, closed afterwards."""
    if executor is not None:
        yield executor
        return
    own = InProcess()
    try:
        yield own
    finally:
        own.close()
