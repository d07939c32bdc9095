"""Whether marginals flatten later where text is easier to predict: half-distance, entropy."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.probes.decay.series import SERIES, columns, parts, wide

WAY = [name for name in SERIES if name != "task"]
ENOUGH = 4
"""Tasks that a correlation needs."""


def predictability(places: pd.DataFrame, half: pd.DataFrame) -> pd.DataFrame:
    """The entropy of the mask next to the text beside the half-distance, a line per task.

    `next_entropy` (nats) is a mean over prompts, of the first mask alone: how hard this kind of
    text is to continue for this model. `half` is the table's of that name. Source: ours.
    """
    found = []
    for named, part in parts(places):
        entropies = wide(part, "entropy")
        if len(entropies):
            first = entropies.iloc[:, 0].dropna().to_numpy(dtype=float)
            found.append(named | {"n": len(first)} | columns(first, "entropy"))
    if not found or not len(half):
        return pd.DataFrame()
    renamed = {f"entropy{end}": f"next_entropy{end}" for end in ("", "_low", "_high")}
    distances = half[[*SERIES, "half", "half_low", "half_high"]]
    return pd.DataFrame(found).rename(columns=renamed).merge(distances, on=SERIES, sort=False)


def over_tasks(table: pd.DataFrame) -> pd.DataFrame:
    """The correlation of half-distance and entropy over tasks, with Fisher's interval.

    Tasks are the units: `tasks` is their number, those without a half-distance left out. Errors of
    measures make a correlation smaller than it is; but these two are of the same prompts, and with
    few of them what is odd about a prompt can be in both, and make one that isn't there.

    Args:
        table: `predictability`'s.
    """
    found = []
    for named, part in parts(table, WAY) if len(table) else ():
        known = part.dropna(subset=["next_entropy", "half"])
        if len(known) < ENOUGH:
            continue
        both = known[["next_entropy", "half"]].to_numpy(dtype=float).T
        one = stats.correlation(both[:1], both[1:])
        ends = {"correlation": one.mean, "correlation_low": one.low, "correlation_high": one.high}
        found.append(named | {"tasks": len(known)} | ends | {"p": one.p})
    return pd.DataFrame(found).replace([np.inf, -np.inf], np.nan)
