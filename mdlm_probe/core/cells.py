"""Names and seeds of cells: where every random number of a measurement comes from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any


def _plain(part: Any) -> Any:
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
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
