"""Two measurements of a probe side by side: what is compared, and their common items.

A report says in `PAIRED` what an item of its probe is and what is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

PROMPT_ITEM = ("task", "prompt")
"""The item of probes that ask prompts."""
SIDES = ("_a", "_b")
"""Suffixes of what the first and the second measurement have."""
Better = Literal["more", "less", ""]
"""Of which of a measure a user wants to have: "" where neither is better in itself."""


@dataclass(frozen=True)
class Measure:
    """A column that is compared.

    Attributes:
        label: its name in tables and figures, with its unit.
        hits: whether rows are yes or no, 1 or 0.
        scale: what values are multiplied with: 100 for points of 100.
        better: whether more of it is better, or less.
    """

    label: str
    hits: bool = False
    scale: float = 1.0
    better: Better = ""


@dataclass(frozen=True)
class Pairing:
    """What two measurements of a probe share, item by item.

    Attributes:
        measures: by column; the first is the main one.
        item: columns that name an independent item; none: every coordinate does.
        by: the sweep that every item goes through.
        cluster: the column of `item` whose items aren't independent; "" for none.
        name: what is compared, where a probe has several such things.
        kind: of observation, where the probe has several.
        rows: makes rows with `measures` from these, keeping coordinates that must be equal.
        free: coordinates that may differ within a pair, since they change no measure.
    """

    measures: dict[str, Measure]
    item: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    cluster: str = ""
    name: str = ""
    kind: str = ""
    rows: Callable[[pd.DataFrame], pd.DataFrame] = pd.DataFrame.copy
    free: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pairs:
    """Rows of two measurements by their common coordinates.

    Attributes:
        rows: the coordinates as text, and every measure twice, with the `SIDES` as suffixes.
        item: columns that name an item.
        sweep: coordinates with several values that aren't part of an item's name.
        alone: items that only the first has, and only the second.
        points: points of the sweep that only the first has, and only the second, by name.
        measured: labels of measures that only the first has, and only the second.
    """

    rows: pd.DataFrame
    item: tuple[str, ...]
    sweep: tuple[str, ...]
    alone: tuple[int, int]
    points: tuple[list[str], list[str]]
    measured: tuple[list[str], list[str]]


def plain(frame: pd.DataFrame, coordinates: Sequence[str], kind: str = "") -> Pairing:
    """The pairing where a report declares none: a cell is an item, every number a measure."""
    numbers = frame.drop(columns=["model", *coordinates], errors="ignore").select_dtypes("number")
    return Pairing(
        {str(name): Measure(str(name)) for name in numbers if numbers[name].notna().any()},
        name=kind,
        kind=kind,
    )


def text_of(value: Any) -> str:
    """A coordinate as text: equal ones are equal however pandas read their column."""
    if value is None or value != value:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    return format(value, ".6g") if isinstance(value, (int, float, np.number)) else str(value)


def texts_of(column: pd.Series) -> pd.Series:
    """Coordinates as text: each of a column's values is put into words once."""
    codes, values = pd.factorize(column, use_na_sentinel=False)
    texts = np.array([text_of(value) for value in values.tolist()], dtype=object)
    return pd.Series(texts[codes], index=column.index, dtype=object)


def keyed(frame: pd.DataFrame, pairing: Pairing, keys: Sequence[str]) -> pd.DataFrame:
    """The measures by coordinates as text; rows that share all of these are averaged."""
    values = frame[list(pairing.measures)].apply(pd.to_numeric).astype(float).dropna(how="all")
    names = {key: texts_of(frame[key]) for key in keys}
    grouped = values.assign(**names).groupby(list(keys), sort=False)
    means: pd.DataFrame = grouped.mean()
    return means.reset_index()


def pair(
    first: pd.DataFrame, second: pd.DataFrame, pairing: Pairing, coordinates: Sequence[str]
) -> Pairs:
    """Rows of two measurements that have the same coordinates, whatever their order.

    Args:
        first, second: a probe's rows, of one model each.
        pairing: what is compared.
        coordinates: columns that must be equal, those of `item` and `by` left out or not.

    Raises:
        KeyError, ValueError: for rows that the probe didn't write.
    """
    frames = [pairing.rows(frame) for frame in (first, second)]
    fixed = [
        name
        for name in coordinates
        if name not in (*pairing.item, *pairing.by, *pairing.free)
        and all(name in frame for frame in frames)
    ]
    item = pairing.item or tuple(fixed)
    keys = list(dict.fromkeys((*item, *pairing.by, *fixed)))
    both = [keyed(frame, pairing, keys) for frame in frames]
    rows = both[0].merge(both[1], on=keys, suffixes=SIDES)
    sweep = [key for key in keys if key not in item and rows[key].nunique() > 1]
    names = [set(_different(side, item)) for side in (*both, rows)]
    alone = len(names[0] - names[2]), len(names[1] - names[2])
    over = [key for key in keys if key not in item]
    return Pairs(rows, item, tuple(sweep), alone, _points(both, over), _measured(both, pairing))


def _different(rows: pd.DataFrame, names: Sequence[str]) -> Iterable[tuple[Any, ...]]:
    """The different values of some columns together, in order of appearance."""
    return rows[list(names)].drop_duplicates().itertuples(index=False, name=None)


def _points(both: Sequence[pd.DataFrame], over: Sequence[str]) -> tuple[list[str], list[str]]:
    """Points of the sweep that one side alone has, by the coordinates that vary."""
    every = pd.concat([side[list(over)] for side in both])
    varying = [name for name in over if every[name].nunique() > 1]
    if not varying:
        return [], []
    points = [dict.fromkeys(_different(side, varying)) for side in both]
    first, second = (
        [
            ", ".join(f"{name} {value}" for name, value in zip(varying, point, strict=True))
            for point in ours
            if point not in theirs
        ]
        for ours, theirs in (points, points[::-1])
    )
    return first, second


def _measured(both: Sequence[pd.DataFrame], pairing: Pairing) -> tuple[list[str], list[str]]:
    """Labels of measures that one side alone has, where both have any."""
    found = [
        {m.label: None for name, m in pairing.measures.items() if side[name].notna().any()}
        for side in both
    ]
    if not all(found):
        return [], []
    return [m for m in found[0] if m not in found[1]], [m for m in found[1] if m not in found[0]]
