"""The sheet: an append-only CSV of whole cells, which can be resumed byte for byte."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import append_whole, unusable, write_whole

PLAIN = {"\\": "\\", "n": "\n", "r": "\r", "0": "\0"}
ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\0": "\\0"})

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


class Sheet:
    """One CSV file, open for appending groups of whole cells.

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
        write_whole(self._seal, f"{self.done} {self._end}\n")

    def close(self, *, complete: bool = False) -> None:
        """Closes the file; a complete one needs no seal any more."""
        self._file.close()
        if complete:
            self._seal.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        append_whole(self._file, data, self._end)
        self._end += len(data)

    def _whole(self, cells: Sequence[tuple[str, ...]]) -> tuple[int, int]:
        """How many planned cells the file holds in whole groups, and the byte where they end."""
        starts, end = self._scan(cells)
        if not starts:
            return 0, end
        with suppress(OSError, ValueError):
            done, sealed = map(int, self._seal.read_text().split())
            at = starts[done] if done < len(starts) else end
            if done <= len(starts) and sealed == at:
                return done, sealed
        # without a seal the last cell may miss rows, so its group counts only if another follows
        done = (len(starts) - 1) // self._group * self._group
        return done, starts[done]

    def _scan(self, cells: Sequence[tuple[str, ...]]) -> tuple[list[int], int]:
        """The byte where each cell of the file begins, and the end of its last whole line."""
        reader = io.BufferedReader(self._file)
        first = reader.readline()
        starts: list[int] = []
        end, current, width = len(first), None, len(cells[0]) if cells else 0
        if first != self._header:
            if not self._header.startswith(first):
                raise self._foreign("other columns than are to be written")
            end = 0
        for line in reader if end else ():
            if not line.endswith(b"\n"):
                break
            fields = next(csv.reader([line.decode("utf-8", "replace")]), [])
            name = tuple(fields[1 : 1 + width])
            if len(fields) != len(self._columns):
                raise self._foreign(f"{len(fields)} fields at byte {end}")
            if name != current:
                if len(starts) >= len(cells) or name != cells[len(starts)]:
                    raise self._foreign(f"a cell that isn't planned next: {', '.join(name)}")
                starts.append(end)
                current = name
            end += len(line)
        reader.detach()
        return starts, end

    def _foreign(self, what: str) -> ProbeError:
        return ProbeError(
            f"{self.path} holds {what}",
            expected="rows of this very plan, as an earlier run of it left them",
            hint="--fresh starts over; --output DIR writes elsewhere",
        )
