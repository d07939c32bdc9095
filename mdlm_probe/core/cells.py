"""Names and seeds of cells: where every random number of a measurement comes from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

_SEEDED = "seeded"


def seeded_as(name: str) -> dict[str, str]:
    """Metadata of a cell's field that seeds know by another name: a new name draws nothing anew.

    `field(metadata=seeded_as("order"))`; as "" seeds don't know of it.
    """
    return {_SEEDED: name}


def _plain(part: Any) -> Any:
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        fields = {f.metadata.get(_SEEDED, f.name): f.name for f in dataclasses.fields(part)}
        return {known: getattr(part, name) for known, name in fields.items() if known}
    return part


def key(*parts: Any) -> str:
    """The canonical name of a cell, or of any parts of one: JSON with sorted keys.

    Equal coordinates give equal keys in every process, on every machine and Python version.
    """
    plain = [_plain(part) for part in parts]
    return json.dumps(plain[0] if len(plain) == 1 else plain, sort_keys=True, separators=(",", ":"))


def seed(*parts: Any) -> int:
    """The random seed of a cell: 64 bits of a BLAKE2b hash of its key, never Python's `hash`."""
    return int.from_bytes(hashlib.blake2b(key(*parts).encode(), digest_size=8).digest(), "big")
