"""Rows of every probe with two models, of which the second is far from the first."""

import numpy as np
import pandas as pd
import probe_cases
import reference

from mdlm_probe.analysis.frames import frames

CHANGED = probe_cases.gathered("SECOND_MODEL") | {"judge": {"win": 0.1}}
"""What the second model's numbers are multiplied by."""


def rows(probe):
    """The committed run's rows of one model, and again with other numbers as another's."""
    path = next(reference.FOLDER.glob(f"*/{probe}__*.csv"))
    found = frames(path.parent)[0][probe]
    first = found[found["model"] == found["model"].iloc[-1]]
    second = first.assign(model="another", **_changed(first, probe))
    return pd.concat([first, second], ignore_index=True)


def _changed(first, probe):
    return {
        name: np.asarray(factor * pd.to_numeric(first[name])).astype(first[name].dtype)
        for name, factor in CHANGED[probe].items()
    }
