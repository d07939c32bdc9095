"""Raw replies on disk: one JSON line per call, safe as soon as it came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mdlm_probe.core.json_lines import JsonLines
from mdlm_probe.runs.judges.judge_calls import Call, Reply

KINDS = ("response", "failed")
"""Names that a reply may have."""


class Replies:
    """The replies of a judge, by call; those that came in earlier sessions are read back.

    A call's last reply counts. Replies under another stamp stay in the file, and count for nothing.

    Args:
        path: the file; None keeps replies in memory alone.
        stamp: what every line says beside: the judge, its prompt's version, its configuration.

    Raises:
        ProbeError: a file that can't be used, or is damaged.
    """

    def __init__(self, path: Path | None, stamp: dict[str, Any]) -> None:
        self._stamp = stamp
        self._found: dict[str, Reply] = {}
        self._log: JsonLines | None = None
        if path:
            style = {"sort_keys": True, "ensure_ascii": True}
            self._log = JsonLines(path, "reply of a judge", ("call",), **style)
            for record in self._log.records:
                if {name: record.get(name) for name in stamp} == stamp:
                    reply = {name: record[name] for name in KINDS if name in record}
                    if reply and isinstance(record["call"], str):
                        self._found[record["call"]] = reply

    def get(self, call: Call) -> Reply | None:
        """What came of a call, if anything."""
        return self._found.get(call.id)

    def settled(self, call: Call) -> bool:
        """Whether a call has a reply that didn't fail, or needs none."""
        return call.pair.identical or "failed" not in (self.get(call) or {"failed": ""})

    def add(self, call: Call, reply: Reply) -> None:
        """Keeps a reply: one line, safe when it returns.

        Raises:
            ProbeError: when the disk is full, say; no part of the line stays.
        """
        self._found[call.id] = reply
        if self._log:
            about = {"call": call.id, "pair": call.pair.id, "order": call.order}
            self._log.append([about | self._stamp | reply])
