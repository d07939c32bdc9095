"""Where the largest probability halves, with bootstrap intervals over prompts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.probes.decay.distances import before_edge, in_middle
from mdlm_probe.probes.decay.series import parts, wide


def half(frame: pd.DataFrame) -> pd.DataFrame:
    """Where the mean largest probability is halfway from its first value to its far end.

    `first` is at distance 1, `far` the mean over the middle half of the canvas; the last quarter
    before the canvas's end, which predicts otherwise, isn't looked at. `half` is where
    the mean curve first falls to their middle, between distances on a straight line, with a
    bootstrap interval over prompts. `settled` is the distance from which on the curve stays under
    that middle: much larger where texts have fixed frames, whose curve swings. `halved` is where it
    first falls to half of `first`, with an interval likewise; empty where it never does. An
    interval is open at its end where samples of the prompts don't fall. Source: ours.
    """
    found = []
    for named, part in parts(frame):
        table = wide(part, "top1_prob").dropna()
        if not len(table) or table.shape[1] < 2:
            continue
        canvas = named["masks"], named["context"]
        table = table.loc[:, before_edge(table.columns.to_numpy(), *canvas)]
        steps, values = table.columns.to_numpy(dtype=float), table.to_numpy()
        means, middle = values.mean(axis=0), in_middle(steps, *canvas)
        if not middle.any():
            continue
        far = float(means[middle].mean())
        line = named | {"n": len(table), "first": means[0], "far": far}
        line |= _where("half", values, partial(halfway, steps=steps, middle=middle))
        under = np.logical_and.accumulate((means <= (means[0] + far) / 2)[::-1])[::-1]
        line["settled"] = steps[under][0] if under.any() and far < means[0] else float("nan")
        found.append(line | _where("halved", values, partial(halved, steps=steps)))
    return pd.DataFrame(found)


NEVER = 1e12
"""Stands for a distance that isn't reached, so that it sorts behind all others."""


def _where(
    name: str, values: np.ndarray, place: Callable[[np.ndarray], np.ndarray]
) -> dict[str, float]:
    """A distance with its bootstrap interval; an end that isn't reached is open (infinite)."""
    found = stats.resampled(values, lambda means: np.nan_to_num(place(means), nan=NEVER))
    reached = found.mean if found.mean < NEVER else float("nan")
    low, high = (end if not end > NEVER / 1e3 else float("inf") for end in (found.low, found.high))
    return {name: reached, f"{name}_low": low, f"{name}_high": high}


def halfway(means: np.ndarray, steps: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Where curves are halfway down to the mean of the distances in the middle of the canvas.

    From [..., distances] to [...]; NaN where they don't go down.
    """
    first, far = means[..., 0], means[..., middle].mean(axis=-1)
    return np.where(far < first, _falls(means, (first + far) / 2, steps), np.nan)


def halved(means: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Where curves are at half of their first value: [..., distances] to [...], or NaN."""
    return _falls(means, means[..., 0] / 2, steps)


def _falls(means: np.ndarray, to: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Where curves first fall to a value, NaN where they don't."""
    to = np.asarray(to)
    below = means <= to[..., None]
    after = np.maximum(below.argmax(axis=-1), 1)
    y = np.take_along_axis(means, np.stack([after - 1, after], axis=-1), axis=-1)
    drop = y[..., 0] - y[..., 1]
    share = np.clip((y[..., 0] - to) / np.where(drop > 0, drop, 1.0), 0.0, 1.0)
    at = steps[after - 1] + share * (steps[after] - steps[after - 1])
    return np.where(below.any(axis=-1), np.where(below[..., 0], steps[0], at), np.nan)
