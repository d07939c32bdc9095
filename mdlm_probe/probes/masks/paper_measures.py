"""The two figures that arXiv 2511.21338 gives of models, of masks after the prompt: their items."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mdlm_probe.analysis.frames import grouped
from mdlm_probe.probes._few_shot.report_parts import RELEVANT
from mdlm_probe.probes.masks.degradation import null, over_steps, units
from mdlm_probe.probes.masks.item_pairs import CONTEXT, by_amount

STEPS = (2, 4, 6)
"""Numbers of steps in random order whose degradation the paper's tables have the mean of."""


def one_step(rows: pd.DataFrame) -> pd.DataFrame:
    """Hits of a model in one step: items by k; no rows where that wasn't measured."""
    own = _first_context(rows)
    own = own[own["steps"] == 1]
    return by_amount(own, "correct") if own["k"].nunique() > 1 else pd.DataFrame()


def few_steps(rows: pd.DataFrame) -> pd.DataFrame:
    """Hits of a model in few random steps: items by (steps, k); no rows where some are missing."""
    own = _first_context(rows)
    own = own[(own["order"] == "random") & own["steps"].isin(STEPS)]
    if set(own["steps"]) != set(STEPS) or own["k"].nunique() < 2:
        return pd.DataFrame()
    return by_amount(own, "correct", ("steps", "k"))


def _first_context(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of masks after the prompt in the first of a model's contexts."""
    own = rows[(rows["filler"] == "mask") & (rows["side"] == "right")]
    return own[(own[CONTEXT] == own[CONTEXT].iloc[0]).all(axis=1)] if len(own) else own


def mean_degradation(rows: pd.DataFrame) -> pd.DataFrame:
    """Each model's mean degradation over few random steps, as the paper's tables have it.

    Steps share their items, which are resampled with all their steps; `degradation_null` is the
    mean of what noise alone makes of each.
    """
    found = []
    for named, part in grouped(rows, ["model"]):
        hits = few_steps(part)
        if not len(hits):
            continue
        steps = hits.columns.get_level_values("steps")
        nulls = [null(units(hits.loc[:, steps == step])) for step in STEPS]
        line = named | {"steps": ", ".join(map(str, STEPS)), "order": "random", "n": len(hits)}
        line |= {"tasks": hits.index.get_level_values(RELEVANT).nunique()}
        line |= over_steps(hits).columns("degradation")
        found.append(line | {"degradation_null": float(np.mean(nulls))})
    return pd.DataFrame(found)
