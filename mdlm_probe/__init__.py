"""mdlm-probe: how masked diffusion language models use context, beside autoregressive ones.

In Python, `run`, `study` and `tune` do what the commands of these names do, `load` opens what they
wrote, and `compare` compares two of them. Options have the names and defaults of the command line;
what a user can mend is a `ProbeError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdlm_probe.core.version import __version__

if TYPE_CHECKING:
    from mdlm_probe.api.calls import compare, load, run, study, tune
    from mdlm_probe.api.loaded_run import Run
    from mdlm_probe.core.errors import ProbeError

__all__ = ["ProbeError", "Run", "__version__", "compare", "load", "run", "study", "tune"]


def __getattr__(name: str) -> Any:
    """What is public, imported when it is wanted: the commands don't wait for it."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from mdlm_probe import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return __all__
