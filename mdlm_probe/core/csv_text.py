"""CSV as text: how values, lines and whole files are written, and read back."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
