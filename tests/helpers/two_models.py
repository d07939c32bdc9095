"""Rows of every probe with two models, of which the second is far from the first."""

import numpy as np
import pandas as pd
import reference

from mdlm_probe.analysis.frames import frames

FOLDERS = {
    "attribution": "attribution",
    "blocks": "blocks",
    "cache": "cache",
    "decay": "decay",
    "joint": "joint",
    "judge": "shift",
    "locality": "locality",
    "masks": "masks",
    "needle": "needle",
    "shift": "shift",
}
CHANGED = {
    "attribution": {"normalised": 0.2},
    "blocks": {"nll": 3.0, "passes": 4.0},
    "cache": {"dlogp_mean": 20.0, "edits": 0.2, "fed": 3.0},
    "decay": {"top1_prob": 0.1, "frequent_mass": 0.1, "js": 1e-3},
    "joint": {"logp": 4.0, "mi": 5.0, "tv": 0.1, "circulation": 9.0, "incoherent_parallel": 0.3},
    "judge": {"score": 0.1},
    "locality": {"correct": 0, "logp_right": 30.0},
    "masks": {"correct": 0, "logp_right": 30.0, "entropy": 9.0, "top1_prob": 0.1},
    "needle": {"logp_right": 7.0},
    "shift": {"nll": 5.0, "edit_distance": 0.3},
}
"""What the second model's numbers are multiplied by."""


def rows(probe):
    """The committed run's rows of one model, and again with other numbers as another's."""
    found = frames(reference.FOLDER / FOLDERS[probe])[0][probe]
    first = found[found["model"] == found["model"].iloc[-1]]
    second = first.assign(model="another", **_changed(first, probe))
    return pd.concat([first, second], ignore_index=True)


def _changed(first, probe):
    return {
        name: np.asarray(factor * pd.to_numeric(first[name])).astype(first[name].dtype)
        for name, factor in CHANGED[probe].items()
    }
