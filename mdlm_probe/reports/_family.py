"""p-values of a table's rows corrected together."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mdlm_probe import stats


def corrected(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Adds NAME_holm beside each NAME_p: by Holm's method, a model's rows being the family.

    Every column is a family of its own; rows without a p-value test nothing.
    """
    for name in names if len(table) else ():
        by_model = table.groupby("model", observed=True, sort=False)[f"{name}_p"]
        holm = by_model.transform(lambda p: stats.holm(p.to_numpy()))
        table.insert(table.columns.get_loc(f"{name}_p") + 1, f"{name}_holm", holm)
    return table
