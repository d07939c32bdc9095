"""Keeps other libraries from writing to the user's terminal while a checkpoint loads."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOUD = ("transformers", "huggingface_hub", "peft", "accelerate", "optimum", "torch", "httpx")


@contextmanager
def quiet(*, downloads: bool = False) -> Iterator[None]:
    """Silences warnings, log lines and progress bars of the loading libraries.

    Everything is as before afterwards. What they have to say that matters (missing keys, say) is
    checked by us and raised as an error.

    Args:
        downloads: let the hub show how far a download is, where the user hasn't switched that off.
    """
    levels = {name: logging.getLogger(name).level for name in LOUD}
    bars = os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS")
    transformers = sys.modules.get("transformers")
    was_on = transformers and transformers.utils.logging.is_progress_bar_enabled()
    hub = sys.modules.get("huggingface_hub")
    hub_was_on = hub and not hub.utils.are_progress_bars_disabled()
    try:
        for name in LOUD:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        if was_on:
            transformers.utils.logging.disable_progress_bar()
        if hub_was_on and bars is None and not downloads:
            hub.utils.disable_progress_bars()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if was_on:
            transformers.utils.logging.enable_progress_bar()
        if hub_was_on and bars is None and not downloads:
            hub.utils.enable_progress_bars()
