"""Files of lines that another process may be writing."""

from __future__ import annotations

import io
from typing import BinaryIO

PIECE = 2**16
"""Bytes that are read at a time to find the last line's end."""


class WholeLines:
    """The whole lines of a file as it was when it was opened: its last one may be half written.

    Attributes:
        size: their bytes.
        closed: never, as Arrow asks.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.size, self.closed = file, file.seek(0, io.SEEK_END), False
        found = -1
        while self.size and found < 0:
            start = max(0, self.size - PIECE)
            file.seek(start)
            found = file.read(self.size - start).rfind(b"\n")
            self.size = start + found + 1
        self.rewind()

    def rewind(self) -> None:
        """Begins anew."""
        self._file.seek(0)

    def head(self) -> bytes:
        """The first line."""
        self.rewind()
        return self._file.readline(self.size)

    def read(self, size: int | None = None) -> bytes:
        """The next bytes, at most `size` of them."""
        left = max(0, self.size - self._file.tell())
        return self._file.read(left if size is None else min(size, left))
