"""Executors: in this process; and whom a caller lent, or one for itself alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mdlm_probe.runs.executors.contract import Executor
from mdlm_probe.runs.executors.in_process import InProcess

__all__ = ["Executor", "InProcess", "lent"]


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
