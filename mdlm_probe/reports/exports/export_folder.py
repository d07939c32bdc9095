"""The folder of exports, which overwrites nothing that a person wrote or changed.

export.json maps each exported file to the hash of its content; while an export is being written, to
all the hashes that the file may have. It is written first and last, so that whatever stops a
process, the next one knows the files it left.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import draft_of, unusable, write_json, write_whole

RECORD = "export.json"

Hashes = dict[str, list[str]]
"""Those that the content of a file may have, by its path in the folder."""


def write(folder: Path, made: dict[str, bytes]) -> list[Path]:
    """Writes files, all or none where one of them isn't as an export left it; returns their paths.

    Raises:
        ProbeError: such a file, or a folder that can't be written.
    """
    exported = _read_record(folder)
    new = {name: [_hash(content)] for name, content in made.items()}
    either = {name: exported.get(name, []) + hashes for name, hashes in new.items()}
    try:
        for name in made:
            _check(folder / name, either[name], name in exported)
        folder.mkdir(parents=True, exist_ok=True)
        _write_record(folder, exported | either)
        for name, content in made.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
        for name in exported:  # of a process that was killed while it wrote other formats
            draft_of(folder / name).unlink(missing_ok=True)
        _write_record(folder, exported | new)
    except OSError as error:
        raise unusable(folder, error) from error
    return [folder / name for name in made]


def _check(path: Path, hashes: list[str], exported: bool) -> None:
    """Refuses to overwrite a file unless it is as an export left it."""
    if not path.exists() or _hash(path.read_bytes()) in hashes:
        return
    if exported:
        raise ProbeError(
            f"{path} was changed since it was exported",
            expected="the file as the export wrote it",
            hint="delete it, or keep it: --output DIR writes elsewhere",
        )
    raise ProbeError(
        f"{path} is there, and no export wrote it",
        expected="a folder of exports alone, or none yet",
        hint="--output DIR writes elsewhere",
    )


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write_record(folder: Path, files: Hashes) -> None:
    """Writes down the exported files; a hash alone where there is one."""
    unique = {name: list(dict.fromkeys(hashes)) for name, hashes in files.items()}
    said = {name: hashes[0] if len(hashes) == 1 else hashes for name, hashes in unique.items()}
    write_json(folder / RECORD, said, sort_keys=True)


def _read_record(folder: Path) -> Hashes:
    path = folder / RECORD
    try:
        said = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise ProbeError(
            f"cannot read {path}: {error}", hint="--output DIR writes elsewhere"
        ) from None
    if not isinstance(said, dict) or not all(isinstance(v, str | list) for v in said.values()):
        raise ProbeError(f"{path} is no list of exports", hint="--output DIR writes elsewhere")
    return {name: [hashes] if isinstance(hashes, str) else hashes for name, hashes in said.items()}
