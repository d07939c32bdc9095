"""JSON files of checkpoints, read so that whatever is wrong with them is named. No torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mdlm_probe.core.errors import ProbeError


def read_text(path: Path) -> str:
    """A text file of a checkpoint.

    Raises:
        ProbeError: when it can't be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ProbeError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ProbeError(
            f"{path} is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}",
            expected="text in UTF-8",
            hint="download it again, or save it as UTF-8",
        ) from None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ProbeError: when the file is missing, is not UTF-8 or not JSON, holds a key twice, or holds
            something else than an object.
    """
    text = read_text(path)
    try:
        data = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise ProbeError(f"{path} is not valid JSON: {why}", expected="a JSON object") from None
    if not isinstance(data, dict):
        raise ProbeError(f"{path} holds a {type(data).__name__}", expected="a JSON object")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of two values for one key, nobody knows which is meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key '{twice}' is there twice")
    return found
