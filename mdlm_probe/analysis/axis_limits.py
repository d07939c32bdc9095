"""Where axes end: all values and intervals are inside, with a little room."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from mdlm_probe.analysis.charts import Axis

Limits = tuple[float, float]
"""Both ends of an axis."""
TICKS = 8
"""Of an axis that isn't linear, at most."""
DIGITS = ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 5), (1, 3), (1,))
"""Leading digits of ticks, from the closest to the widest."""


def axis_limits(values: Float[np.ndarray, " n"], axis: Axis, margin: float) -> Limits:
    """The smallest and the largest value that an axis can show, and a margin.

    Args:
        values: what is drawn; NaN, infinity, and what a logarithm doesn't have are left out.
        axis: with its scale.
        margin: the room at each end, as a share of the range.
    """
    known = values[np.isfinite(values) & ((values > 0) | (axis.scale != "log"))]
    if not len(known):
        return (1.0, 10.0) if axis.scale == "log" else (0.0, 1.0)
    low, high = (bent(float(value), axis) for value in (known.min(), known.max()))
    alone = math.log(2.0) if axis.scale == "log" else 0.5
    apart = margin * (high - low) if high > low else alone
    return _down(unbent(low - apart, axis)), -_down(-unbent(high + apart, axis))


def bent(value: float, axis: Axis) -> float:
    """Where a scale has a value."""
    if axis.scale == "log":
        return math.log(value)
    if axis.scale == "symlog":
        return math.copysign(math.log1p(abs(value) / axis.knee), value)
    return value


def unbent(place: float, axis: Axis) -> float:
    """The value at a place of a scale."""
    if axis.scale == "log":
        return math.exp(place)
    if axis.scale == "symlog":
        return math.copysign(math.expm1(abs(place)) * axis.knee, place)
    return place


def bent_ticks(axis: Axis, limits: Limits) -> list[float]:
    """Round numbers for an axis that isn't linear: as close as there is room for."""
    shown: list[float] = []
    for digits in DIGITS:
        steps = [float(f"{digit}e{power}") for power in range(-12, 13) for digit in digits]
        if axis.scale == "symlog":
            steps = [step for step in steps if step >= 0.99 * axis.knee]
            steps = [*(-step for step in reversed(steps)), 0.0, *steps]
        shown = [step for step in steps if limits[0] <= step <= limits[1]]
        if len(shown) <= TICKS:
            return shown
    return shown[:: math.ceil(len(shown) / TICKS)]


def _down(value: float) -> float:
    """The largest number of six digits that isn't above a value."""
    near = float(f"{value:.6g}")
    if near <= value:
        return near
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 5)
    return float(f"{near - step:.6g}")
