"""Progress on stderr."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mdlm_probe import estimate

PLAIN_SECONDS = 10.0
"""How often a run says where it is when no terminal is there to draw on."""


class Bar:
    """Progress on stderr: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

    unit = "cells"

    def __init__(self, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._bar = self._make()

    def _make(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(self.unit + "  {task.fields[speed]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        """One line above the bar."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def start(self, name: str, cells: int, done: int) -> None:
        """A new bar, filled as far as earlier runs came."""
        if done:
            self.note(f"{name}: going on after {done} of {cells} {self.unit}")
        self._name, self._cells, self._done, self._tokens = name, cells, done, 0
        self._before = done
        self._began = self._said = self._last = time.monotonic()
        self._bar = self._make()  # one a measurement: while a model loads, the terminal is free
        self._bar.start()
        self._task = self._bar.add_task(name, total=cells, completed=done, speed="")

    def advance(self, cells: int, tokens: int) -> None:
        """Moves the bar; without a terminal, a line now and then and at the end."""
        if not cells and self._done == self._cells:
            return
        now = time.monotonic()
        self._last = now if cells else self._last
        self._done, self._tokens = self._done + cells, self._tokens + tokens
        speed = self.speed(max(now - self._began, 1e-9))
        self._bar.update(self._task, advance=cells, speed=speed)
        if self._done == self._cells:
            self._bar.stop()
        self._say(now, speed)

    def tick(self) -> None:
        """Says where it is between two groups of cells."""
        now = time.monotonic()
        if now - self._said >= PLAIN_SECONDS or self._console.is_terminal:
            speed = self.speed(max(now - self._began, 1e-9))
            self._bar.update(self._task, speed=speed)
            self._say(now, speed)

    def _say(self, now: float, speed: str) -> None:
        late = now - self._said >= PLAIN_SECONDS or self._done == self._cells
        if not self._console.is_terminal and late:
            measured = self._done - self._before
            left = (self._last - self._began) / max(measured, 1) * (self._cells - self._done)
            ahead = f", {estimate.duration(left)} left" if measured and left else ""
            self.note(f"{self._name}: {self._done} of {self._cells} {self.unit}, {speed}{ahead}")
            self._said = now

    def speed(self, seconds: float) -> str:
        """How fast it went for so many seconds."""
        return f"{estimate.quantity(self._tokens / seconds)} tokens/s"
