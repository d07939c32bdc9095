"""Vega-Lite for the browser: bundling takes seconds, so the script is kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

import vl_convert


@cache
def bundle() -> str:
    """Vega-Lite as one script: made once for each version of vl-convert, wherever it can be kept.

    The kept file begins with the script's digest, so that one that was damaged is made again.
    """
    try:
        path = kept_at()
        digest, _, script = path.read_bytes().partition(b"\n")
        if _digest(script) == digest:
            return script.decode()
    except (OSError, RuntimeError):  # nothing is kept; or there is no home
        pass
    made: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # no snippet: has a default
    with suppress(OSError, RuntimeError):
        _keep(kept_at(), made.encode())
    return made


def kept_at() -> Path:
    """The file in the user's cache.

    Raises:
        RuntimeError: the user has no home.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return home / "mdlm-probe" / f"vega-{version('vl-convert-python')}.js"


def _digest(script: bytes) -> bytes:
    return hashlib.sha256(script).hexdigest().encode()


def _keep(path: Path, script: bytes) -> None:
    """Writes the file whole: by a draft of this process's own, since others may write it now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft, name = tempfile.mkstemp(dir=path.parent)
    try:
        with open(draft, "wb") as file:
            file.write(_digest(script) + b"\n" + script)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
