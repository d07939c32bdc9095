"""The seal beside a measurement's CSVs: up to where their rows are whole, group by group."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import append_whole, unusable, write_whole

UNNAMED = "-"
"""What a seal calls a plan that has no digest."""


def seal_path(path: Path) -> Path:
    """The seal of a measurement, beside its main CSV."""
    return path.with_suffix(".seal")


class Mark(NamedTuple):
    """A place in a file.

    Attributes:
        end: bytes before it.
        sum: their checksum (CRC-32); -1 where a version wrote none.
    """

    end: int
    sum: int


class Seal(NamedTuple):
    """What a line of the seal says of a measurement's CSVs.

    Attributes:
        done: cells that they hold.
        plan: hash of the plan that the cells are the first ones of.
        marks: where their rows end in each file, the main one first.
    """

    done: int
    plan: str
    marks: tuple[Mark, ...]

    @classmethod
    def read(cls, line: str) -> Seal | None:
        """What a line says; None of a damaged one."""
        with suppress(ValueError, IndexError):
            done, end, *rest = line.split()
            total, plan, *others = rest or ["-1", UNNAMED]
            numbers = [int(end), int(total), *map(int, others)]
            marks = map(Mark, numbers[::2], numbers[1::2])
            return None if len(numbers) % 2 else cls(int(done), plan, tuple(marks))
        return None

    def line(self) -> str:
        """The line: cells, end and checksum of the main file, plan, then those of others."""
        (end, total), *others = self.marks
        rest = [number for mark in others for number in mark]
        return " ".join(map(str, (self.done, end, total, self.plan, *rest))) + "\n"


class SealLog:
    """The seal: a line for each group of cells, of which the last one counts.

    The others say where the groups of a shard end, which `merging` puts together.

    Args:
        path: of the seal.

    Attributes:
        seals: its lines, those that are whole.

    Raises:
        ProbeError: it can't be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_text(encoding="ascii", errors="replace") if path.exists() else ""
        except OSError as error:
            raise unusable(path, error) from error
        self._end, found = len(text), [Seal.read(line) for line in text.split("\n")[:-1]]
        self.seals = [seal for seal in found if seal]

    @property
    def last(self) -> Seal | None:
        """What counts; None where there is nothing."""
        return self.seals[-1] if self.seals else None

    def begin(self, now: Seal) -> None:
        """Forgets what is of another plan, or of more cells, and says what is there now.

        Raises:
            ProbeError: it can't be written.
        """
        kept = [seal for seal in self.seals if seal.plan == now.plan and seal.done < now.done]
        data = "".join(seal.line() for seal in (*kept, now))
        write_whole(self.path, data)
        self._end = len(data)

    def append(self, seal: Seal) -> None:
        """Writes a line, all of it or nothing.

        Raises:
            ProbeError: when the disk is full, say.
        """
        data = seal.line().encode()
        try:
            with self.path.open("ab", buffering=0) as file:
                append_whole(file, data, self._end)
        except OSError as error:
            raise unusable(self.path, error) from error
        self._end += len(data)


def group_ends(path: Path) -> list[Seal]:
    """The seals of a finished shard, one for each group, and before them one of no cells.

    Args:
        path: its main CSV.

    Raises:
        ProbeError: there are none.
    """
    seals = SealLog(seal_path(path)).seals
    if not seals or seals[0].done:
        raise ProbeError(
            f"{seal_path(path)} is missing or damaged: it says which rows of {path.name} and the"
            " files beside it belong together",
            expected="the seal that the shard's run left",
            hint="copy it, too, or measure the shard again",
        )
    return seals
