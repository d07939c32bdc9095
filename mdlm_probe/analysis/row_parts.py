"""Rows of texts by model and by task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

ALL = "all"
"""The task of lines about the texts of all tasks together."""


def parts(rows: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The rows of each model and task, then of all its tasks if there are several."""
    for model, own in rows.groupby("model", observed=True, sort=False):
        for task, part in own.groupby("task", observed=True, sort=False):
            yield {"model": model, "task": task}, part
        if own["task"].nunique() > 1:
            yield {"model": model, "task": ALL}, own
