"""Answers that are kept: a line of JSON each, appended as soon as they are there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mdlm_probe.core import cells
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import unusable

VERSION = 1
"""Of the code that makes numbers: answers kept by another version are not used."""

FACTS = ("weight_hash", "files", "dtype", "quantize", "attention", "rope_scale")


class Kept:
    """Answers by name, in a file that only grows; without a path, in memory alone.

    Args:
        path: of the file; made with the first answer. A torn last line is cut off.

    Raises:
        ProbeError: a file that holds something else, or can't be used.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._found: dict[str, dict[str, Any]] = {}
        if path and path.exists():
            self._read(path)

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, name: str) -> dict[str, Any]:
        return self._found[name]

    def get(self, name: str) -> dict[str, Any] | None:
        """The answer of this name, or None."""
        return self._found.get(name)

    def add(self, answers: Mapping[str, dict[str, Any]]) -> None:
        """Keeps answers; they are safe on disk when this returns.

        Raises:
            ProbeError: the disk is full, say.
        """
        new = {name: answer for name, answer in answers.items() if name not in self._found}
        lines = [
            json.dumps({"key": name, **answer}, ensure_ascii=False) for name, answer in new.items()
        ]
        if self.path and lines:
            try:
                with self.path.open("ab") as file:
                    file.write(("\n".join(lines) + "\n").encode())
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise unusable(self.path, error) from error
        self._found.update(new)

    def _read(self, path: Path) -> None:
        try:
            with path.open("r+b") as file:
                data = file.read()
                whole = data[: data.rfind(b"\n") + 1]
                if len(whole) < len(data):
                    file.truncate(len(whole))
        except OSError as error:
            raise unusable(path, error) from error
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                answer = json.loads(line)
                self._found[answer.pop("key")] = answer
            except (ValueError, KeyError, AttributeError, TypeError):
                raise ProbeError(
                    f"{path}, line {number} is no kept answer", hint="--fresh starts over"
                ) from None


def identity(facts: Mapping[str, Any], entry: Any) -> dict[str, Any]:
    """What an answer depends on besides its request and settings: the model, and this code.

    Args:
        facts: the model's.
        entry: the model's registry entry.
    """
    adapter = facts.get("adapter")
    return {
        "version": VERSION,
        **{name: facts.get(name) for name in FACTS},
        "adapter": adapter.get("hash") if isinstance(adapter, dict) else adapter,
        "kind": entry.kind,
        "family": entry.family,
        "chat": entry.chat,
        "mask": entry.mask_id,
        "ends": list(entry.eos_ids),
        "context": entry.context,
    }


def name_of(*parts: Any) -> str:
    """The name of an answer: 128 bits of a hash of all that changes it."""
    return hashlib.blake2b(cells.key(*parts).encode(), digest_size=16).hexdigest()
