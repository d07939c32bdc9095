"""Libraries that not everybody needs, imported where one is wanted."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from mdlm_probe.core.errors import ProbeError


def library(name: str, what: str, *, extra: str = "", option: str = "") -> ModuleType:
    """A library that is only installed for those who ask for it.

    Args:
        name: what is imported.
        what: what can't be done without it, as a message begins.
        extra: of this package that brings it; "": it is called like the library.
        option: that asks for it.

    Raises:
        ProbeError: it can't be imported.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        reason = "" if getattr(error, "name", "") == name.split(".")[0] else f": {error}"
        raise ProbeError(
            f"{what} needs the library {name.split('.')[0]}{reason}",
            hint=advice(extra or name),
            option=option,
        ) from None


def advice(extra: str) -> str:
    """What brings the libraries of an extra of this package."""
    return f"pip install 'mdlm-probe[{extra}]'"


def is_there(name: str) -> bool:
    """Whether a library is installed; it isn't imported, but for the packages that it is in."""
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
