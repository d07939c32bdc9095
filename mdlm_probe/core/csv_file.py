"""One CSV of a measurement, to which whole groups of rows are appended; `sheet` knows of cells."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from mdlm_probe.core.csv_text import csv_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import append_whole, unusable
from mdlm_probe.core.seal import Mark

AT_ONCE = 2**20
"""Bytes of a file that are read at a time."""


class CsvFile:
    """A CSV that is open for appending, and remembers its size and checksum.

    Args:
        path: created if absent; its heads are written by `begin`.
        columns: all columns; those that name the cell come first, behind the model.

    Attributes:
        mark: where its rows end.

    Raises:
        ProbeError: it can't be used.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns, self.mark = path, tuple(columns), Mark(0, 0)
        self._header = csv_of([], columns)
        try:
            self._file = path.open("r+b" if path.exists() else "x+b", buffering=0)
        except OSError as error:
            raise unusable(path, error) from error

    def __enter__(self) -> CsvFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def first(self) -> int:
        """The byte where rows begin."""
        return len(self._header)

    def begin(self, mark: Mark) -> None:
        """Cuts off what stands behind a mark; from 0 on the heads are written."""
        self.back(mark)
        if mark.end == 0:
            self.append(self._header)

    def append(self, data: bytes) -> None:
        """Writes lines, all of them or none.

        Raises:
            ProbeError: when the disk is full, say; the file is as it was before.
        """
        try:
            append_whole(self._file, data, self.mark.end)
        except OSError as error:
            raise unusable(self.path, error) from error
        self.mark = Mark(self.mark.end + len(data), zlib.crc32(data, self.mark.sum))

    def back(self, mark: Mark) -> None:
        """Cuts off what stands behind a mark.

        Raises:
            ProbeError: it can't be used.
        """
        try:
            self._file.truncate(mark.end)
            self._file.seek(mark.end)
        except OSError as error:
            raise unusable(self.path, error) from error
        self.mark = mark

    def size(self) -> int:
        """Its bytes."""
        return self._file.seek(0, io.SEEK_END)

    def is_new(self) -> bool:
        """Whether it holds nothing, or a part of its heads."""
        return self.size() <= self.first and self._header.startswith(self._read(self.first))

    def holds(self, mark: Mark) -> bool:
        """Whether its bytes before a mark have the mark's checksum, its own heads first."""
        return self._read(self.first) == self._header and self.summed(mark.end) == mark.sum

    def summed(self, end: int) -> int | None:
        """The checksum of the bytes before one; None if the file is shorter."""
        self._file.seek(0)
        total = 0
        while left := end - self._file.tell():
            data = self._file.read(min(left, AT_ONCE))
            if not data:
                return None
            total = zlib.crc32(data, total)
        return total

    def check_header(self) -> None:
        """Refuses a file with other heads, or a part of them.

        Raises:
            ProbeError: what it holds.
        """
        first = self._read(self.first)
        if not self._header.startswith(first):
            raise self.foreign("other columns than are to be written")

    def check_after(self, mark: Mark, names: Collection[tuple[str, ...]]) -> None:
        """Refuses rows behind a mark that are of none of these cells.

        Raises:
            ProbeError: the first such row.
        """
        width = len(next(iter(names), ()))
        for _, name in self._rows(mark.end, width):
            if name not in names:
                raise self.foreign(f"a cell that isn't planned next: {', '.join(name)}")

    def cells(self, planned: Sequence[tuple[str, ...]]) -> Iterator[tuple[int, int]]:
        """Where cells begin, each with the number of those before it; at last, how many there are,
        and where the last whole line ends.

        Raises:
            ProbeError: a row of another cell than the next planned one.
        """
        width = len(planned[0]) if planned else 0
        nexts, current, count, last = iter(planned), None, 0, self.first
        for end, name in self._rows(self.first, width):
            if name != current:
                if name != next(nexts, None):
                    raise self.foreign(f"a cell that isn't planned next: {', '.join(name)}")
                yield count, last
                count, current = count + 1, name
            last = end
        yield count, last

    def _rows(self, start: int, width: int) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Where each whole line from a byte on ends, and the cell that it names.

        Raises:
            ProbeError: a line of another number of fields.
        """
        self._file.seek(start)
        reader, end = io.BufferedReader(self._file), start
        try:
            for line in reader:
                if not line.endswith(b"\n"):
                    break
                fields = next(csv.reader([line.decode("utf-8", "replace")]), [])
                if len(fields) != len(self.columns):
                    raise self.foreign(f"{len(fields)} fields at byte {end}")
                end += len(line)
                yield end, tuple(fields[1 : 1 + width])
        finally:
            with suppress(ValueError):
                reader.detach()

    def _read(self, size: int) -> bytes:
        """Its first bytes."""
        self._file.seek(0)
        return self._file.read(size)

    def foreign(self, what: str) -> ProbeError:
        """The error for a file that holds what it shouldn't."""
        return ProbeError(
            f"{self.path} holds {what}",
            expected="rows of this very plan, as an earlier run of it left them",
            hint="--fresh starts over; --output DIR writes elsewhere",
        )
