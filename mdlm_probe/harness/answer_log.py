"""Answers of earlier runs by name, and what an answer's name is made of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mdlm_probe.core import cells
from mdlm_probe.core.json_lines import JsonLines

VERSION = 1
"""Of the code that makes numbers: answers of another version are not used."""

FACTS = ("weight_hash", "files", "dtype", "quantize", "attention", "rope_scale")

Answer = dict[str, Any]


class AnswerLog:
    """Answers by name, one per line of a file; without a path, in memory alone.

    Args:
        path: of the file; made with the first answer.

    Raises:
        ProbeError: a file that holds something else, or can't be used.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._log = JsonLines(path, "answer to a request", ("key",)) if path else None
        self._found: dict[str, Answer] = {}
        for record in self._log.records if self._log else ():
            self._found[record.pop("key")] = record

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def __getitem__(self, name: str) -> Answer:
        return self._found[name]

    def add(self, answers: Mapping[str, Answer]) -> None:
        """Keeps answers whose names are new; they are safe on disk when this returns.

        Raises:
            ProbeError: the disk is full, say.
        """
        new = {name: answer for name, answer in answers.items() if name not in self}
        if self._log:
            self._log.append({"key": name, **answer} for name, answer in new.items())
        self._found.update(new)


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
        **entry.block_facts,
    }


def name_of(*parts: Any) -> str:
    """The name of an answer: 128 bits of a hash of all that changes it."""
    return hashlib.blake2b(cells.key(*parts).encode(), digest_size=16).hexdigest()
