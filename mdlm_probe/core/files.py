"""Files and folders: written whole or not at all, one process at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import RawIOBase
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mdlm_probe.core.errors import ProbeError

PACKAGE = Path(__file__).parent.parent
"""Where the package lies."""


def unusable(path: Path, error: OSError) -> ProbeError:
    """The error for a file or folder that the system won't let us use."""
    return ProbeError(
        f"cannot use {path}: {error.strerror or error}",
        expected="a place with free space and leave to write",
        hint="free some space, or choose another --output; rows already written stay",
    )


def draft_of(path: Path) -> Path:
    """Where a file is written before it takes the place of the old one."""
    return path.with_name(path.name + ".new")


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file so that readers see the old content or the new one, never a part.

    Raises:
        ProbeError: it can't be written.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        draft_of(path).write_bytes(data)
        os.replace(draft_of(path), path)
    except OSError as error:
        raise unusable(path, error) from error


def write_json(path: Path, content: Any, *, sort_keys: bool = False) -> None:
    """Writes a value as JSON for people to read, as `write_whole` does.

    Raises:
        ProbeError: it can't be written.
    """
    write_whole(path, json.dumps(content, indent=2, sort_keys=sort_keys) + "\n")


def append_whole(file: RawIOBase, data: bytes, end: int) -> None:
    """Writes data at the end of an unbuffered file: all of it, safe on disk, or none of it.

    What is whole when Ctrl-C comes stays, too: it may have cost money, and only a crash of the
    machine could still lose it.

    Args:
        file: open for writing, its position at `end`.
        data: what is written.
        end: the size of the file.

    Raises:
        OSError: when the disk is full, say; the file is as it was before.
    """
    left = memoryview(data)
    try:
        while left:
            left = left[file.write(left) :]
        os.fsync(file.fileno())
    except BaseException as error:
        with suppress(OSError):
            if isinstance(error, OSError) or file.tell() < end + len(data):
                file.truncate(end)
                file.seek(end)
        raise


@contextmanager
def exclusive(folder: Path, lock: str, doing: str, wait: float = 0) -> Iterator[None]:
    """A folder, created if absent, for this process alone.

    Args:
        folder: the folder.
        lock: name of the lock's file in it.
        doing: what another process is said to do that holds the lock.
        wait: seconds that another one may take.

    Raises:
        ProbeError: another process holds it, or the folder can't be used.
    """
    held = FileLock(folder / lock, timeout=wait)
    try:
        (folder / lock).parent.mkdir(parents=True, exist_ok=True)
        held.acquire()
    except Timeout:
        raise ProbeError(
            f"another process is {doing}", hint="wait for it, or choose another --output"
        ) from None
    except OSError as error:
        raise unusable(folder, error) from error
    try:
        yield
    finally:
        held.release()
