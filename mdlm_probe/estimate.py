"""What a measurement would cost, from a checkpoint's geometry alone: operations, memory, hours."""

from __future__ import annotations

from dataclasses import dataclass

from mdlm_probe.models._base import Entry, LoadOptions

BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "8bit": 1.0, "4bit": 0.5}

SHARE = 0.5
"""Share of the device's matrix-product rate that is assumed; `make bench` measures it."""


ROWS = 256 * 2**20
"""Most bytes that rows of the output layer take at a time (the engine's `ROW_BYTES`)."""


@dataclass(frozen=True)
class Cost:
    """An estimate.

    Attributes:
        operations: floating-point operations of all forward passes; None without a geometry.
        memory: bytes of weights, of one batch's activations and of the output rows; None likewise.
    """

    operations: float | None
    memory: float | None


def cost(
    entry: Entry,
    load: LoadOptions,
    dtype: str,
    tokens: float,
    asked: int,
    length: float,
    batch: int,
) -> Cost:
    """Estimates a measurement of `tokens` tokens in prompts of about `length`.

    Two operations a weight and token, attention on top, the output layer only where asked. The
    activations of a batch of `batch` tokens are about ten widths and three inner widths a token.
    """
    g = entry.geometry
    if not g:
        return Cost(None, None)
    table = g["vocab"] * g["hidden"]
    # a tied model counts its table once, an untied one twice; neither runs on every token
    body = g["parameters"] - table * (1 if g.get("tied") else 2)
    attention = 4 * g["layers"] * g["hidden"] * length
    operations = tokens * (2 * body + attention) + asked * 2 * table
    width = 10 * g["hidden"] + 3 * g["intermediate"]
    memory = (
        g["parameters"] * BYTES[load.quantize or dtype]
        + batch * width * BYTES[dtype]
        + 2 * min(asked / tokens * batch * g["vocab"] * 4, ROWS)
    )
    return Cost(operations, memory)


def quantity(value: float) -> str:
    """A count for people: 1234567 as 1.23M, 2e18 as 2.00E."""
    for unit in ("", "k", "M", "G", "T", "P", "E"):
        if abs(value) < 1000 or unit == "E":
            return f"{value:.0f}" if not unit else f"{value:.3g}{unit}"
        value /= 1000
    raise AssertionError


def duration(seconds: float) -> str:
    """A time for people: seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
