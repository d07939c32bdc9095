"""Progress on stderr."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mdlm_probe.cli.screen import Screen, check_readers, visible
from mdlm_probe.core import quantities
from mdlm_probe.core.catalog import JUDGE, TUNE

PLAIN_SECONDS = 10.0
"""How often a run says where it is when no terminal is there to draw on."""


class Bar:
    """Progress on stderr: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

    unit = "cells"

    def __init__(self, quiet: bool) -> None:
        self._console = Screen(stderr=True, quiet=quiet)
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
        check_readers(error)

    def note(self, text: str) -> None:
        """One line above the bar."""
        self._console.print(visible(text), highlight=False, markup=False, soft_wrap=True)

    def start(self, name: str, cells: int, done: int) -> None:
        """A new bar, filled as far as earlier runs came."""
        if done:
            self.note(f"{name}: resuming after {done} of {cells} {self.unit}")
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
            ahead = f", {quantities.duration(left)} left" if measured and left else ""
            self.note(f"{self._name}: {self._done} of {self._cells} {self.unit}, {speed}{ahead}")
            self._said = now

    def speed(self, seconds: float) -> str:
        """How fast it went for so many seconds."""
        return per_second(self._tokens, seconds)


def per_second(tokens: int, seconds: float) -> str:
    """How fast tokens went through a network."""
    return quantities.tokens_per_second(tokens / seconds)


def losses(parts: dict[str, float]) -> str:
    """The losses of a step, before its speed."""
    return "".join(f"{name} {value:.4g}, " for name, value in parts.items())


@dataclass
class Pace:
    """How long the rest of a study takes: cells left, at the pace of their probe so far.

    A probe that none of was measured yet is taken to be as fast as all others together. Ours.

    Attributes:
        left: cells still to be measured, by probe.
        measured: cells measured, and the seconds they took, by probe.
    """

    left: dict[str, int]
    measured: dict[str, tuple[int, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, probe: str, cells: int, seconds: float) -> None:
        """Some cells of a probe were measured."""
        with self._lock:
            before = self.measured.get(probe, (0, 0.0))
            self.measured[probe] = before[0] + cells, before[1] + seconds

    def skip(self, probe: str, cells: int) -> None:
        """Cells that are no longer left, measured or not."""
        with self._lock:
            self.left[probe] = self.left.get(probe, 0) - cells

    def seconds(self) -> float | None:
        """What is left; None as long as nothing was measured."""
        with self._lock:
            measured, left = dict(self.measured), dict(self.left)
        cells = sum(count for count, _ in measured.values())
        if not cells:
            return None
        mean = sum(spent for _, spent in measured.values()) / cells
        own = {name: spent / count for name, (count, spent) in measured.items() if count}
        return sum(count * own.get(name, mean) for name, count in left.items())


class StudyBar:
    """One display for all runs of a study: all cells with the time left, and each run's turn.

    Args:
        quiet: no progress.
        cells: of every run with a model: probe, and how many.
    """

    def __init__(self, quiet: bool, cells: Sequence[tuple[str, int]]) -> None:
        left: dict[str, int] = {}
        for probe, count in cells:
            left[probe] = left.get(probe, 0) + count
        self.pace, self.all = Pace(left), sum(left.values())
        self.console = Screen(stderr=True, quiet=quiet)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),  # of all runs: the time left
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._turns = 0

    def __enter__(self) -> Self:
        self.bar.start()
        self._study = self.bar.add_task("all runs", total=self.all, speed="")
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()
        check_readers(error)

    @property
    def several(self) -> bool:
        """Whether more than one turn is going on."""
        return self._turns > 1

    def note(self, text: str) -> None:
        """One line above the bars."""
        self.console.print(visible(text), highlight=False, markup=False, soft_wrap=True)

    def begin(self, run: str, probe: str, model: str, cells: int) -> StudyTurn:
        """A run's turn with one model begins; others may go on."""
        self._turns += 1
        return StudyTurn(self, run, model, probe, cells)

    def end(self, probe: str, cells: int) -> None:
        """A turn is over: cells that it didn't measure are not waited for."""
        self._turns -= 1
        self.gone(probe, cells)

    def gone(self, probe: str, cells: int) -> None:
        """Cells off the list."""
        self.pace.skip(probe, cells)
        self.bar.update(self._study, completed=self.done, speed=self.ahead())

    @property
    def done(self) -> int:
        """Cells of all runs that are off the list."""
        return self.all - sum(self.pace.left.values())

    def ahead(self) -> str:
        """The time left for all runs."""
        seconds = self.pace.seconds()
        return (
            "" if seconds is None else f"{quantities.duration(seconds / max(1, self._turns))} left"
        )


class StudyTurn:
    """A run's turn with one model, on a study's display.

    Args:
        study: the display.
        run, model: their names.
        probe: the probe's name, "judge" or "tune".
        cells: to be measured; judges and tunings have none.
    """

    def __init__(self, study: StudyBar, run: str, model: str, probe: str, cells: int) -> None:
        self._study, self._probe, self._left = study, probe, cells
        self._name, self._model = f"{run} {model}", model
        self._losses: dict[str, float] = {}
        self._unit = "cells" if cells else {JUDGE: "verdicts", TUNE: "steps"}.get(probe, "cells")
        self._task = study.bar.add_task(self._name, total=None, speed="", visible=False)
        self._alone = not study.several
        study.note(f"{self._name}:" if self._alone else f"{self._name} begins")

    def note(self, text: str) -> None:
        """One line above the bars, under its name or with it."""
        if not self._alone or self._study.several:
            text = f"{self._name}: {text.strip().removeprefix(f'{self._model}: ')}"
        self._study.note(text)

    def start(self, name: str, cells: int, done: int) -> None:
        """Its measurement begins, filled as far as earlier ones came."""
        if done:
            self.note(f"  resuming after {done} of {cells} {self._unit}")
        self._cells, self._done, self._tokens, self._before = cells, done, 0, done
        self._began = self._said = self._last = time.monotonic()
        self._study.bar.reset(self._task, total=cells, completed=done, visible=True, speed="")
        self._gone(done)

    def advance(self, cells: int, tokens: int) -> None:
        """Moves both bars; without a terminal, a line now and then and at the end."""
        now, study = time.monotonic(), self._study
        if cells:
            if self._probe in study.pace.left:  # no verdicts, no steps of a training
                study.pace.add(self._probe, cells, now - self._last)
            self._last = now
            self._gone(cells)
        self._done, self._tokens = self._done + cells, self._tokens + tokens
        speed = f"{losses(self._losses)}{per_second(self._tokens, max(now - self._began, 1e-9))}"
        study.bar.update(self._task, completed=self._done, speed=speed)
        whole = cells and self._done == self._cells
        if not study.console.is_terminal and (whole or now - self._said >= PLAIN_SECONDS):
            told = f"all runs: {study.done} of {study.all}, {study.ahead()}".rstrip(", ")
            self.note(f"  {self._done} of {self._cells} {self._unit}, {speed}; {told}")
            self._said = now

    def step(self, parts: dict[str, float], tokens: int) -> None:
        """A step of a training is over."""
        self._losses = parts
        self.advance(1, tokens)

    def end(self) -> None:
        """The turn is over, whatever came of it."""
        self._study.end(self._probe, self._left)
        self._left = 0
        self._study.bar.remove_task(self._task)

    def _gone(self, cells: int) -> None:
        """Cells off the list; a judge's are not on it."""
        cells = min(cells, self._left)
        self._left -= cells
        self._study.gone(self._probe, cells)
