"""The sheet: append-only CSVs of whole cells, which can be resumed byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mdlm_probe.core.cell_ranges import CellSequence
from mdlm_probe.core.csv_file import CsvFile
from mdlm_probe.core.csv_text import Row, lines_of, text_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.seal import UNNAMED, Mark, Seal, SealLog, seal_path


class CellNames(Sequence[tuple[str, ...]]):
    """The coordinates of a plan's cells as the CSV holds them, written when they are asked for.

    Attributes:
        digest: a hash of them all.
    """

    def __init__(self, cells: CellSequence[Any]) -> None:
        self._cells, self.digest = cells, cells.digest

    def __len__(self) -> int:
        return len(self._cells)

    def __getitem__(self, place: Any) -> Any:
        found = self._cells[place]
        return list(map(_name, found)) if isinstance(place, slice) else _name(found)

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return map(_name, self._cells)


def _name(cell: Any) -> tuple[str, ...]:
    return tuple(text_of(getattr(cell, field)) for field in cell.__dataclass_fields__)


class Sheet:
    """The CSV files of a measurement, open for appending groups of whole cells.

    A group's rows go into all files before one line more in the seal beside them says that it is
    done: whatever stops a process, the files are cut back together to what the last seal names.

    What they hold already is taken as it is if it has the checksums that the seal names, and the
    seal is of this very plan. A single file without such a seal is read row by row, and held
    against the plan; several are refused, since their rows don't say which are missing.

    Args:
        files: the columns of each CSV by its path, the main one first; created with their heads
            if absent. Columns that name the cell come first, behind the model.
        cells: the coordinates of every planned cell as the CSV holds them, in order.
        group: cells that are measured and written together.

    Attributes:
        done: planned cells that the files hold, a whole number of groups or all.

    Raises:
        ProbeError: files that aren't this plan's, are damaged, or can't be written.
    """

    def __init__(
        self, files: Mapping[Path, Sequence[str]], cells: Sequence[tuple[str, ...]], group: int
    ) -> None:
        self._group = group
        self._plan = cells.digest if isinstance(cells, CellNames) else UNNAMED
        with ExitStack() as stack:
            self._files = [
                stack.enter_context(CsvFile(path, columns)) for path, columns in files.items()
            ]
            self._seals = SealLog(seal_path(next(iter(files))))
            self.done, marks = self._whole(cells)
            for file, mark in zip(self._files, marks, strict=True):
                file.begin(mark)
            self._seals.begin(self._seal())
            self._opened = stack.pop_all()

    def append(self, rows: Sequence[Iterable[Row]], cells: int) -> None:
        """Writes the rows of the next `cells` cells, all or nothing.

        Args:
            rows: of each file, in the files' order.
            cells: how many cells these are of.

        Raises:
            ProbeError: when the disk is full, say; the files are as they were before.
        """
        lines = [lines_of(own, f.columns) for own, f in zip(rows, self._files, strict=True)]
        marks = [file.mark for file in self._files]
        try:
            for file, data in zip(self._files[::-1], lines[::-1], strict=True):  # the main one last
                file.append(data)
        except BaseException:
            for file, mark in zip(self._files, marks, strict=True):
                file.back(mark)
            raise
        self.done += cells
        self._seals.append(self._seal())

    def close(self) -> None:
        """Closes the files; their seal stays."""
        self._opened.close()

    def _seal(self) -> Seal:
        return Seal(self.done, self._plan, tuple(file.mark for file in self._files))

    def _whole(self, cells: Sequence[tuple[str, ...]]) -> tuple[int, Sequence[Mark]]:
        """How many planned cells the files hold in whole groups, and where their rows end."""
        seal = self._seals.last
        if seal and self._holds(seal):
            after = set(cells[seal.done : seal.done + self._group])
            for file, mark in zip(self._files, seal.marks, strict=True):
                file.check_after(mark, after)  # a group that was cut off is forgotten
            return seal.done, seal.marks
        if all(file.is_new() for file in self._files):
            return 0, [Mark(0, 0)] * len(self._files)
        if len(self._files) == 1:
            return self._scanned(self._files[0], cells, seal)
        raise self._unlike(seal)

    def _holds(self, seal: Seal) -> bool:
        """Whether the files begin with what was sealed, and that is of this plan."""
        return (
            self._plan == seal.plan != UNNAMED
            and len(seal.marks) == len(self._files)
            and all(f.holds(mark) for f, mark in zip(self._files, seal.marks, strict=True))
        )

    def _scanned(
        self, file: CsvFile, cells: Sequence[tuple[str, ...]], seal: Seal | None
    ) -> tuple[int, list[Mark]]:
        """What `_whole` says, by the rows themselves."""
        file.check_header()
        sealed, found = (seal.done, seal.marks[0].end) if seal else None, None
        whole = last = (0, file.first)
        for mark in file.cells(cells):
            found = mark if mark == sealed else found
            if last[0] % self._group == 0:
                whole = last
            last = mark
        # without a seal the last cell may miss rows, so its group counts only if another follows
        done, end = found or whole
        return done, [Mark(end, file.summed(end) or 0)]

    def _unlike(self, seal: Seal | None) -> ProbeError:
        """The error for several files that can't be resumed: the one that isn't as it was left."""
        for file in self._files:
            file.check_header()
        if seal is None:
            return self._files[0].foreign(
                f"rows, and {self._seals.path.name} is missing or damaged"
            )
        if self._plan != seal.plan or len(seal.marks) != len(self._files):
            return self._files[0].foreign("rows of another plan")
        both = zip(self._files, seal.marks, strict=True)
        changed, mark = next((f, m) for f, m in both if not f.holds(m))
        size = changed.size()
        short = f"{size} bytes, {mark.end} when it was left" if size < mark.end else "changed rows"
        return changed.foreign(short)
