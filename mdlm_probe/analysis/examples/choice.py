"""Which rows become examples: few, the same for every model, never by chance.

Items (such as test points) are ranked by a score that is averaged over all models and settings, and
taken evenly from the ranking; each is shown in a few settings. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

SETTINGS = 4
"""Most settings that an item is shown in."""


def numbers(frame: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """For each row the number of its group: rows that agree in these columns, in order of coming.

    Columns that the frame doesn't have tell nothing apart.
    """
    known = [name for name in columns if name in frame]
    if not known:
        return pd.Series(0, index=frame.index)
    return frame.groupby(known, sort=False, dropna=False).ngroup()


def evenly(ranked: Sequence[int], count: int) -> list[int]:
    """At most `count` of a ranking: the first, the last, and evenly in between."""
    if len(ranked) <= count:
        return list(ranked)
    if count < 2:
        return list(ranked[:count])
    return [ranked[round(i * (len(ranked) - 1) / (count - 1))] for i in range(count)]


def extreme(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The rows that have the least or the largest value in each of these columns."""
    for name in (name for name in columns if name in frame):
        frame = frame[frame[name].isin([frame[name].min(), frame[name].max()])]
    return frame


def ranking(frame: pd.DataFrame, group: pd.Series, by: Sequence[str]) -> list[int]:
    """Groups by the mean of these columns, the smallest first; ties in order of coming.

    Args:
        frame: rows.
        group: from `numbers`, of these rows or more.
        by: a value that is missing counts as 0.
    """
    values = frame[list(by)].apply(pd.to_numeric, errors="coerce").fillna(0)
    scores = values.groupby(group[frame.index].to_numpy()).mean()
    ranked: list[int] = scores.sort_values(list(by), kind="stable").index.tolist()
    return ranked


def _settings(frame: pd.DataFrame, settings: pd.Series, count: int) -> list[int]:
    """A few settings, evenly from those that all models have, then from the others."""
    models = frame["model"].groupby(settings.to_numpy()).nunique()
    common = set(models.index[models == models.max()])
    known = list(dict.fromkeys(settings))
    shared = evenly([number for number in known if number in common], count)
    others = [number for number in known if number not in common]
    return shared + evenly(others, count - len(shared))


def spread(
    frame: pd.DataFrame, item: Sequence[str], setting: Sequence[str], by: Sequence[str], limit: int
) -> list[int]:
    """Rows of a few items, each in a few settings and of every model: at most `limit` a model.

    Args:
        frame: rows, one for each model, item and setting.
        item, setting: the columns that tell them apart.
        by: columns that items are ranked by.
        limit: rows of a model.
    """
    if frame.empty:
        return []
    items, settings = numbers(frame, item), numbers(frame, setting)
    shown = _settings(frame, settings, min(SETTINGS, limit))
    part = frame[settings.isin(shown)]
    found = []
    for number in evenly(ranking(part, items, by), limit // len(shown)):
        own = items.index[(items == number) & settings.isin(shown)]
        found += sorted(own, key=lambda at: (shown.index(settings[at]), at))
    return found
