"""A report's tables in the shape that charts draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from mdlm_probe.pages._charts import MEASURE

SUFFIXES = ("", "_low", "_high")


def over_sets(table: pd.DataFrame) -> pd.DataFrame:
    """A table with columns best_low and best_high: over sets, or over items where there is one."""
    ends = {f"best{end}": table[f"sets{end}"].fillna(table[f"items{end}"]) for end in SUFFIXES[1:]}
    return table.assign(**ends)


def measures(
    table: pd.DataFrame, keep: Sequence[str], titles: Mapping[str, str], times: float = 1.0
) -> pd.DataFrame:
    """A row for each measure that a table has values of, in the columns value, value_low and _high.

    Args:
        table: with a column for each measure and its interval.
        keep: other columns of it.
        titles: of the measures by column; the column "measure" holds them.
        times: what values are multiplied by.
    """
    parts = [
        table[[name for name in keep if name in table]].assign(
            **{MEASURE: " ".join(title.split())},
            **{f"value{end}": times * table[f"{name}{end}"] for end in SUFFIXES},
        )
        for name, title in titles.items()
        if name in table and table[name].notna().any()
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
