"""Variables of the environment that would break a library on its way in."""

from __future__ import annotations

import os
import sys

BROKEN = ("JAXTYPING_DISABLE", "LMEVAL_LOG_LEVEL", "LOGLEVEL", "TORCH_LOGS", "TORCH_TRACE")
"""Read when a library is imported, which fails at values that it doesn't know."""

BARS = "TQDM_"
"""Begins the variables of a progress bar that isn't ours, which fails at them likewise."""

NUMBERS = ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT")
"""Read as whole numbers when a library is imported."""


def clean() -> None:
    """Takes away what no command needs and some would fail at, inherited from whoever set it."""
    for name, value in list(os.environ.items()):
        worded = name in NUMBERS and not value.isdecimal()
        if name in BROKEN or name.startswith(BARS) or worded:
            del os.environ[name]
    if sys.flags.optimize > 1 and os.environ.pop("PYTHONOPTIMIZE", ""):
        # without docstrings transformers can't be imported: Python has to start again
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
