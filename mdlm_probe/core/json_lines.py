"""JSON lines that only grow: a log of what took time or money, resumable at any byte."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import append_whole, unusable


class JsonLines:
    """A file with a JSON object on each line, to which whole lines are appended.

    It is created with its first line. Whatever stops a process, only whole lines count: a torn last
    one is cut off when the file is opened again.

    Args:
        path: the file.
        what: each line is, for errors, such as "reply of a judge".
        needs: names that each object must have.
        sort_keys, ensure_ascii: how objects are written, as for `json.dumps`.

    Attributes:
        records: the objects that the file held when it was opened, in order.

    Raises:
        ProbeError: a line that is something else, or a file that can't be used.
    """

    def __init__(
        self,
        path: Path,
        what: str,
        needs: Collection[str],
        *,
        sort_keys: bool = False,
        ensure_ascii: bool = False,
    ) -> None:
        self.path, self._what, self._needs = path, what, frozenset(needs)
        self._sort_keys, self._ensure_ascii = sort_keys, ensure_ascii
        try:
            data = path.read_bytes() if path.exists() else b""
            self._lines = data.split(b"\n")[:-1]
            self.records = [self._record(line, n) for n, line in enumerate(self._lines, 1)]
            if not data.endswith(b"\n"):
                self.cut(len(self.records))
        except OSError as error:
            raise unusable(path, error) from error

    def _record(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict) or not self._needs <= record.keys():
            raise ProbeError(
                f"{self.path}, line {number}: no {self._what}",
                expected="one JSON object per line, as an earlier run left them",
                hint="take the line away, or start over with --fresh",
            )
        return record

    def cut(self, count: int) -> None:
        """Forgets all but the first of the lines that were there when the file was opened.

        Raises:
            ProbeError: the file can't be written.
        """
        self._lines, self.records = self._lines[:count], self.records[:count]
        size = sum(len(line) + 1 for line in self._lines)
        try:
            if self.path.exists() and size < self.path.stat().st_size:
                os.truncate(self.path, size)
        except OSError as error:
            raise unusable(self.path, error) from error

    def append(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Writes a line for each of these objects: all of them or none, safe when it returns.

        Raises:
            ProbeError: when the disk is full, say.
        """
        text = "".join(map(self._line, records))
        if not text:
            return
        try:
            with self.path.open("ab", buffering=0) as file:
                append_whole(file, text.encode(), file.tell())
        except OSError as error:
            raise unusable(self.path, error) from error

    def _line(self, record: Mapping[str, Any]) -> str:
        text = json.dumps(record, sort_keys=self._sort_keys, ensure_ascii=self._ensure_ascii)
        return text + "\n"
