"""`--quantize`: which formats there are, and whether this machine can pack weights into them."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from jaxtyping import UInt8
from torch import Tensor

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.extras import advice

BITS = {"4bit": "int4", "8bit": "int8"}


def check(quantize: str) -> None:
    """Refuses formats that there aren't; makes the library ready where one is asked for.

    Raises:
        ProbeError: an unknown format, or a library that is missing.
    """
    if quantize and quantize not in BITS:
        raise ProbeError(f"unknown quantisation '{quantize}'", expected=", ".join(BITS))
    if quantize:
        try:
            import optimum.quanto  # noqa: F401
            from optimum.quanto.library.extensions.cpp import ext
        except ImportError:
            raise ProbeError(
                "--quantize needs the library optimum-quanto",
                hint=advice("quanto"),
                option="quantize",
            ) from None
        # on a CPU it would compile C++ for a minute at its first 4-bit weight, and fail without g++
        ext._lib = ext._lib or SimpleNamespace(unpack=_unpack)


def _unpack(packed: UInt8[Tensor, "rows ..."], bits: int) -> UInt8[Tensor, "more ..."]:
    """The numbers that are packed into bytes: the lowest bits of all bytes, then the next ones."""
    return torch.cat([packed >> at & (1 << bits) - 1 for at in range(0, 8, bits)])
