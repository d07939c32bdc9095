"""The folder of exports: which files are its own, and writing them so that none is ever torn.

export.json maps each file to the hash of what an export wrote there; while one is writing, to all
the hashes that the file may have. It is written first and last, so that whatever stops a process,
the next one knows the files it left.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import replace, unusable

OWN = "export.json"


def write(folder: Path, made: dict[str, bytes]) -> list[Path]:
    """Writes files, all or none where one of them isn't as an export left it; returns their paths.

    Raises:
        ProbeError: such a file, or a folder that can't be written.
    """
    own = _own(folder)
    new = {name: hashlib.sha256(content).hexdigest() for name, content in made.items()}
    either = {name: list({**dict.fromkeys(own.get(name, [])), new[name]: None}) for name in made}
    try:
        for name in made:
            _check(folder / name, either[name], name in own)
        folder.mkdir(parents=True, exist_ok=True)
        _note(folder, own | either)
        for name, content in made.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _draft(path).write_bytes(content)
            os.replace(_draft(path), path)
        for name in own:  # of a process that was killed while it wrote other formats
            _draft(folder / name).unlink(missing_ok=True)
        _note(folder, own | {name: [digest] for name, digest in new.items()})
    except OSError as error:
        raise unusable(folder, error) from error
    return [folder / name for name in made]


def _check(path: Path, known: list[str], own: bool) -> None:
    """Refuses a file that an export would overwrite, and that isn't one's own any more."""
    if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() in known:
        return
    if own:
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


def _draft(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _note(folder: Path, own: dict[str, list[str]]) -> None:
    """Writes down the export's own files; a hash alone where there is one."""
    said = {name: hashes[0] if len(hashes) == 1 else hashes for name, hashes in own.items()}
    replace(folder / OWN, json.dumps(said, indent=2, sort_keys=True) + "\n")


def _own(folder: Path) -> dict[str, list[str]]:
    """The hashes that each of the export's own files may have."""
    path = folder / OWN
    try:
        own = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise ProbeError(
            f"cannot read {path}: {error}", hint="--output DIR writes elsewhere"
        ) from None
    if not isinstance(own, dict) or not all(isinstance(v, str | list) for v in own.values()):
        raise ProbeError(f"{path} is no list of exports", hint="--output DIR writes elsewhere")
    return {name: [hashes] if isinstance(hashes, str) else hashes for name, hashes in own.items()}
