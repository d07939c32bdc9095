"""Vega-Lite for the browser: bundling takes seconds, so the script is kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

import vl_convert

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import write_whole


@cache
def bundle() -> str:
    """Vega-Lite as one script: made once for each version of vl-convert, wherever it can be kept.

    The kept file begins with the script's digest: one that was damaged, or that another process is
    writing now, is made again.
    """
    try:
        path = kept_at()
        digest, _, script = path.read_bytes().partition(b"\n")
        if _digest(script) == digest:
            return script.decode()
    except (OSError, RuntimeError):  # nothing is kept; or there is no home
        pass
    made: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # no snippet: has a default
    with suppress(OSError, RuntimeError, ProbeError):
        kept_at().parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept_at(), _digest(made.encode()) + b"\n" + made.encode())
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
