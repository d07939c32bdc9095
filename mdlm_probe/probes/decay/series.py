"""The rows of a decay run by series, and means over prompts with their intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.frames import PROMPT_COLUMNS, grouped

SERIES = ["model", "context", "masks", "task"]
SUFFIXES = ("", "_low", "_high")
MOST = {"js": np.log(2), "entropy": np.inf}
"""Where a measure ends; others end at 1, and all begin at 0."""


def parts(
    frame: pd.DataFrame, names: list[str] = SERIES
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Rows in groups, in order of appearance, each with its coordinates by name."""
    yield from grouped(frame, names)


def wide(part: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Prompts as rows, distances as columns; sides of a span that are equally far are averaged."""
    return part.pivot_table(index=PROMPT_COLUMNS, columns="distance", values=measure, observed=True)


def band(values: np.ndarray, measure: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means of columns with the t interval over rows, cut at what the measure can be."""
    means, low, high = stats.means(values)
    return means, np.maximum(low, 0.0), np.minimum(high, MOST.get(measure, 1.0))


def columns(values: np.ndarray, measure: str) -> dict[str, float]:
    """The columns of a mean over prompts and its interval."""
    ends = band(values[:, None], measure)
    return {f"{measure}{suffix}": float(e[0]) for suffix, e in zip(SUFFIXES, ends, strict=True)}
