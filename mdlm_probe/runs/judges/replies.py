"""Raw replies on disk: one JSON line a call, safe as soon as it came."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import unusable
from mdlm_probe.runs.judges.judge_calls import Call, Reply


class Replies:
    """The replies of a judge, by call; those that came in earlier sessions are read back.

    A call's last line counts; a half-written line at the end is cut off. Lines
    under another stamp stay, and count for nothing.

    Args:
        path: the file; None keeps replies in memory alone.
        stamp: what every line says beside: the judge, its prompt's version, its configuration.

    Raises:
        ProbeError: a file that can't be used, or is damaged.
    """

    def __init__(self, path: Path | None, stamp: dict[str, Any]) -> None:
        self._path, self._stamp = path, stamp
        self._found: dict[str, Reply] = {}
        if path is None:
            return
        try:
            self._file = path.open("a+b", buffering=0)
        except OSError as error:
            raise unusable(path, error) from error
        try:
            self._read(path)
        except BaseException as error:
            self._file.close()
            if isinstance(error, OSError):
                raise unusable(path, error) from error
            raise

    def _read(self, path: Path) -> None:
        self._file.seek(0)
        data = self._file.readall()
        whole = data[: data.rfind(b"\n") + 1]
        self._file.truncate(len(whole))
        for number, line in enumerate(whole.split(b"\n")[:-1], 1):
            try:
                known = json.loads(line)
                name, stamp = known["call"], {key: known.get(key) for key in self._stamp}
                reply = {name: known[name] for name in ("response", "failed") if name in known}
            except (ValueError, TypeError, KeyError):
                raise ProbeError(
                    f"{path}, line {number}: no reply of a judge",
                    expected="one JSON object a line, as an earlier run left them",
                    hint="take the line away, or start over with --fresh",
                ) from None
            if stamp == self._stamp:
                self._found[name] = reply

    def get(self, call: Call) -> Reply | None:
        """What came of a call, if anything."""
        return self._found.get(call.id)

    def settled(self, call: Call) -> bool:
        """Whether a call has a reply that didn't fail, or needs none."""
        return call.pair.identical or "failed" not in (self.get(call) or {"failed": ""})

    def add(self, call: Call, reply: Reply) -> None:
        """Keeps a reply: one line, written at once.

        Raises:
            ProbeError: when the disk is full, say; no part of the line stays.
        """
        self._found[call.id] = reply
        if self._path is None:
            return
        about = {"call": call.id, "pair": call.pair.id, "order": call.order}
        line = (json.dumps(about | self._stamp | reply, sort_keys=True) + "\n").encode()
        try:
            end = os.fstat(self._file.fileno()).st_size
            if self._file.write(line) != len(line):
                self._file.truncate(end)
                raise OSError("the disk is full")
        except OSError as error:
            raise unusable(self._path, error) from error

    def close(self) -> None:
        """Closes the file."""
        if self._path is not None:
            self._file.close()
