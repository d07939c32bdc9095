"""The sheet: an append-only CSV of whole cells, which can be resumed byte for byte."""

from __future__ import annotations

import csv
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from mdlm_probe.core.cell_ranges import CellSequence
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import append_whole, unusable, write_whole

PLAIN = {"\\": "\\", "n": "\n", "r": "\r", "0": "\0"}
ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\0": "\\0"})

UNNAMED = "-"
"""What a seal calls a plan that has no digest."""

AT_ONCE = 2**20
"""Bytes of a file that are read at a time."""

csv.field_size_limit(2**31 - 1)  # the usual 128 KiB would refuse long canvases

Row = Mapping[str, Any]


def text_of(value: Any) -> str:
    """A value as the CSV holds it: floats with 6 significant digits, booleans as 0 and 1, lists as
    JSON, no line breaks in texts (backslash escapes instead), nothing for None.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return format(value, ".6g")
    if isinstance(value, list):  # whose escapes are JSON's own
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value).translate(ESCAPES)


def text_from(field: str) -> str:
    r"""The text that a CSV field stands for; undoes the escapes of `text_of`, such as `\n`.

    Not for fields of lists, which are JSON.
    """
    return re.sub(r"\\(.)", lambda found: PLAIN.get(found[1], found[0]), field)


def lines_of(rows: Iterable[Row], columns: Sequence[str]) -> bytes:
    """Rows as CSV lines. Every row must have exactly the columns."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        assert row.keys() == set(columns), f"columns {sorted(row.keys() ^ set(columns))} differ"
        writer.writerow([text_of(row[name]) for name in columns])
    return out.getvalue().encode()


def csv_of(rows: Iterable[Row], columns: Sequence[str]) -> bytes:
    """A whole CSV: its heads and its rows."""
    return lines_of([dict(zip(columns, columns, strict=True)), *rows], columns)


def records(text: str, delimiter: str = ",") -> list[dict[str, str]]:
    """The rows of a CSV with a header, each cell as the text that stands there.

    Raises:
        ValueError: naming the line that has other cells than the header, or is no CSV.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter)
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None
    heads = rows[0][1] if rows else []
    doubled = [head for head in heads if heads.count(head) > 1]
    if doubled:
        raise ValueError(f"two columns are called '{doubled[0]}'")
    for number, row in rows:
        if len(row) != len(heads):
            raise ValueError(f"line {number} has {len(row)} cells, the header has {len(heads)}")
    return [dict(zip(heads, row, strict=True)) for _, row in rows[1:]]


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


class Seal(NamedTuple):
    """What the file beside a CSV says of it.

    Attributes:
        done: cells that it holds.
        end: the byte where their rows end.
        sum: checksum (CRC-32) of all bytes before; -1 where a version wrote none.
        plan: hash of the plan that the cells are the first ones of.
    """

    done: int
    end: int
    sum: int
    plan: str

    @classmethod
    def read(cls, path: Path) -> Seal | None:
        """What a file says; None if there is none, or a damaged one."""
        with suppress(OSError, ValueError):
            fields = path.read_text().split()
            done, end, total, plan = fields if len(fields) > 2 else [*fields, "-1", UNNAMED]
            return cls(int(done), int(end), int(total), plan)
        return None


class Sheet:
    """One CSV file, open for appending groups of whole cells.

    What it holds already is taken as it is if it has the checksum that the seal beside it names,
    and the seal is of this very plan. Otherwise it is read row by row, and held against the plan.

    Args:
        path: the file; created with its header if absent.
        columns: all columns; those that name the cell come first.
        cells: the coordinates of every planned cell as the CSV holds them, in order.
        group: cells that are measured and written together.

    Attributes:
        done: planned cells that the file holds, a whole number of groups or all.

    Raises:
        ProbeError: a file that isn't this plan's, is damaged, or can't be written.
    """

    def __init__(
        self, path: Path, columns: Sequence[str], cells: Sequence[tuple[str, ...]], group: int
    ) -> None:
        self.path, self._columns, self._group = path, tuple(columns), group
        self._seal = path.with_suffix(".seal")
        self._header = csv_of([], columns)
        self._plan = cells.digest if isinstance(cells, CellNames) else UNNAMED
        self._sum = 0
        try:
            self._file = path.open("r+b" if path.exists() else "x+b", buffering=0)
        except OSError as error:
            raise unusable(path, error) from error
        try:
            self.done, self._end = self._whole(cells)
            self._file.truncate(self._end)
            self._file.seek(self._end)
            if self._end == 0:
                self._write(self._header)
        except BaseException as error:
            self._file.close()
            if isinstance(error, OSError):
                raise unusable(path, error) from error
            raise

    def append(self, rows: Sequence[Row], cells: int) -> None:
        """Writes the rows of the next `cells` cells, all or nothing.

        Raises:
            ProbeError: when the disk is full, say; the file is as it was before.
        """
        try:
            self._write(lines_of(rows, self._columns))
        except OSError as error:
            raise unusable(self.path, error) from error
        self.done += cells
        seal = (self.done, self._end, self._sum, self._plan)
        write_whole(self._seal, " ".join(map(str, seal)) + "\n")

    def close(self, *, complete: bool = False) -> None:
        """Closes the file; a complete one needs no seal any more."""
        self._file.close()
        if complete:
            self._seal.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        append_whole(self._file, data, self._end)
        self._end += len(data)
        self._sum = zlib.crc32(data, self._sum)

    def _whole(self, cells: Sequence[tuple[str, ...]]) -> tuple[int, int]:
        """How many planned cells the file holds in whole groups, and the byte where they end."""
        seal = Seal.read(self._seal)
        if seal and self._holds(seal):
            for _ in self._marks(cells, seal.done, seal.end):
                pass  # rows of a group that was cut off are forgotten, others are refused
            return seal.done, seal.end
        done, end = self._scanned(cells, seal)
        self._summed(end)
        return done, end

    def _holds(self, seal: Seal) -> bool:
        """Whether the file begins with what was sealed, and that is of this plan."""
        if self._plan == UNNAMED or self._plan != seal.plan or self._summed(seal.end) != seal.sum:
            return False
        self._file.seek(0)
        return self._file.read(len(self._header)) == self._header

    def _summed(self, end: int) -> int | None:
        """The checksum of the bytes before one, which is then carried on; None if the file is
        shorter.
        """
        self._file.seek(0)
        self._sum = 0
        while left := end - self._file.tell():
            data = self._file.read(min(left, AT_ONCE))
            if not data:
                return None
            self._sum = zlib.crc32(data, self._sum)
        return self._sum

    def _scanned(self, cells: Sequence[tuple[str, ...]], seal: Seal | None) -> tuple[int, int]:
        """What `_whole` says, by the rows themselves."""
        self._file.seek(0)
        first = self._file.read(len(self._header))
        if first != self._header:
            if not self._header.startswith(first):
                raise self._foreign("other columns than are to be written")
            return 0, 0
        sealed, found = (seal.done, seal.end) if seal else None, None
        whole = last = (0, len(first))
        for mark in self._marks(cells, *last):
            found = mark if mark == sealed else found
            if last[0] % self._group == 0:
                whole = last
            last = mark
        # without a seal the last cell may miss rows, so its group counts only if another follows
        return found or whole

    def _marks(
        self, cells: Sequence[tuple[str, ...]], count: int, end: int
    ) -> Iterator[tuple[int, int]]:
        """Where cells begin from a byte on, each with the number of those before it; at last, how
        many there are, and where the last whole line ends.

        Raises:
            ProbeError: a row of another cell than the next planned one.
        """
        self._file.seek(end)
        reader = io.BufferedReader(self._file)
        planned = (cells[place] for place in range(count, len(cells)))
        current = cells[count - 1] if count else None
        width = len(cells[0]) if cells else 0
        for line in reader:
            if not line.endswith(b"\n"):
                break
            fields = next(csv.reader([line.decode("utf-8", "replace")]), [])
            name = tuple(fields[1 : 1 + width])
            if len(fields) != len(self._columns):
                raise self._foreign(f"{len(fields)} fields at byte {end}")
            if name != current:
                if name != next(planned, None):
                    raise self._foreign(f"a cell that isn't planned next: {', '.join(name)}")
                yield count, end
                count, current = count + 1, name
            end += len(line)
        reader.detach()
        yield count, end

    def _foreign(self, what: str) -> ProbeError:
        return ProbeError(
            f"{self.path} holds {what}",
            expected="rows of this very plan, as an earlier run of it left them",
            hint="--fresh starts over; --output DIR writes elsewhere",
        )
