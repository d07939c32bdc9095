"""Rows of every probe with two models, of which the second is far from the first."""

from functools import cache

import numpy as np
import pandas as pd
import probe_cases
import reference

from mdlm_probe.analysis.frames import frames

CHANGED = probe_cases.gathered("SECOND_MODEL") | {"judge": {"win": 0.1}}
"""What the second model's numbers are multiplied by."""


def rows(probe):
    """The committed run's rows of one model, and again with other numbers as another's; by kind
    where the probe has several.
    """
    return each(_read(probe), lambda own: _doubled(own, probe))


@cache
def _read(probe):
    path = next(reference.FOLDER.glob(f"*/{probe}__*.csv"))
    return frames(path.parent)[0][probe]


def each(observed, change):
    """Rows, of one kind or of several, with something done to those of every kind that has any."""
    if isinstance(observed, dict):
        return {kind: own if own.empty else change(own) for kind, own in observed.items()}
    return change(observed)


def _doubled(found, probe):
    first = found[found["model"] == found["model"].iloc[-1]]
    second = first.assign(model="another", **_changed(first, probe))
    return pd.concat([first, second], ignore_index=True)


def _changed(first, probe):
    return {
        name: np.asarray(factor * pd.to_numeric(first[name])).astype(first[name].dtype)
        for name, factor in CHANGED[probe].items()
        if name in first
    }
