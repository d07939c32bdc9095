"""What tests make workers do: die, run out of memory, be slow or held.

Workers import this by name.
"""

import os
import signal
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from mdlm_probe.core.cells import key


class Changed:
    """An executor whose workers do something else first: `first(engine, group)`."""

    def __init__(self, inner, first):
        self.inner, self.first = inner, first

    def border(self, entry, load):
        return self.inner.border(entry, load)

    def open(self, request, note):
        return ChangedSession(self.inner.open(request, note), self.first)

    def close(self):
        self.inner.close()


class ChangedSession:
    def __init__(self, inner, first):
        self.inner, self.first = inner, first

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def results(self, work, groups, watch):
        return self.inner.results(Both(self.first, work), groups, watch)


class Both:
    """One thing, then another."""

    def __init__(self, first, then):
        self.first, self.then = first, then

    def __call__(self, engine, group):
        with self.first(engine, group):
            return self.then(engine, group)


class Dying:
    """Kills its process over the group that holds a cell.

    Args:
        cell: which one.
        marks: a folder that gets a file for each death.
        times: how often.
    """

    def __init__(self, cell, marks, times):
        self.cell, self.marks, self.times = key(cell), Path(marks), times

    @contextmanager
    def __call__(self, engine, group):
        if self.cell in map(key, group) and len(list(self.marks.iterdir())) < self.times:
            (self.marks / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield


class Short:
    """Lets the first worker that comes run out of memory from a number of sequences on.

    Args:
        marks: a folder for the one file that says who it is: who makes it first.
        most: sequences that fit.
    """

    def __init__(self, marks, most):
        self.marks, self.most = Path(marks), most

    @contextmanager
    def __call__(self, engine, group):
        states = engine.model.states

        def tried(ids, *given):
            if len(ids) > self.most:
                raise MemoryError
            return states(ids, *given)

        mine, own = self.marks / "first", str(os.getpid())
        with suppress(FileExistsError), mine.open("x") as file:  # two may come at the same time
            file.write(own)
        if mine.read_text() == own:
            engine.model.states = tried
        try:
            yield
        finally:
            engine.model.states = states


class Held:
    """Doesn't come to an end over a group that holds a cell.

    Args:
        fields: of that cell.
    """

    SECONDS = 600
    """More than any test waits; a worker that a defect leaves behind ends all the same."""

    def __init__(self, fields):
        self.fields = fields

    @contextmanager
    def __call__(self, engine, group):
        if any(self.fields.items() <= asdict(cell).items() for cell in group):
            time.sleep(self.SECONDS)
        yield


class Slow:
    """Takes longer over some cells.

    Args:
        seconds: by cell; 0 for others.
    """

    def __init__(self, seconds):
        self.seconds = {key(cell): value for cell, value in seconds.items()}

    @contextmanager
    def __call__(self, engine, group):
        time.sleep(sum(self.seconds.get(key(cell), 0) for cell in group))
        yield
