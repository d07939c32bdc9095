"""Keeps other libraries from writing to the user's terminal while a checkpoint loads."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

LOUD = ("transformers", "huggingface_hub", "peft", "accelerate", "optimum", "torch", "httpx")


@contextmanager
def quiet(*, downloads: bool = False) -> Iterator[None]:
    """Silences warnings, log lines and progress bars of the loading libraries.

    Everything is as before afterwards. What they have to say that matters (missing keys, say) is
    checked by us and raised as an error.

    Args:
        downloads: let the hub show the progress of downloads, unless the user switched that off.
    """
    levels = {name: logging.getLogger(name).level for name in LOUD}
    bars = os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS")
    switches: list[tuple[Callable[[], None], Callable[[], None]]] = []  # off and on again
    transformers, hub = sys.modules.get("transformers"), sys.modules.get("huggingface_hub")
    if transformers is not None and transformers.utils.logging.is_progress_bar_enabled():
        own = transformers.utils.logging
        switches.append((own.disable_progress_bar, own.enable_progress_bar))
    if hub is not None and bars is None and not downloads:
        own = hub.utils
        if not own.are_progress_bars_disabled():
            switches.append((own.disable_progress_bars, own.enable_progress_bars))
    try:
        _set_levels(dict.fromkeys(LOUD, logging.CRITICAL))
        for off, _ in switches:
            off()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        _set_levels(levels)
        for _, on in switches:
            on()


def _set_levels(levels: Mapping[str, int]) -> None:
    """Sets those that differ: each setting looks through all loggers that there are."""
    for name, level in levels.items():
        logger = logging.getLogger(name)
        if logger.level != level:
            logger.setLevel(level)
