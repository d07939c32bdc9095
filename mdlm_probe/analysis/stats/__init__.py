"""Every interval and test of the harness, always saying over what: items, prompts, tasks.

Intervals are for 95 %. `tests/unit/analysis/test_stats_coverage.py` simulates how often they hold
the truth, in the situations that probes make, and how often tests find what isn't there; the
smallest numbers of units in the docstrings are from there.
"""

from __future__ import annotations

from mdlm_probe.analysis.stats.agreement import cohen_kappa, fleiss_kappa
from mdlm_probe.analysis.stats.calibration import (
    CalibrationError,
    bins_of,
    calibration_error,
    over_confidence,
)
from mdlm_probe.analysis.stats.clusters import clustered, sandwich
from mdlm_probe.analysis.stats.comparisons import Strengths, bradley_terry
from mdlm_probe.analysis.stats.correlation import correlation
from mdlm_probe.analysis.stats.discrimination import auroc
from mdlm_probe.analysis.stats.estimate import FEW, LEVEL, Estimate
from mdlm_probe.analysis.stats.means import mean, mean_over, means, paired
from mdlm_probe.analysis.stats.resampling import amount, bootstrap, resampled
from mdlm_probe.analysis.stats.shares import paired_hits, proportion, share_over
from mdlm_probe.analysis.stats.significance import (
    cohen_dz,
    corrected,
    holm,
    minimum_detectable_effect,
    welch,
)

__all__ = [
    "FEW",
    "LEVEL",
    "CalibrationError",
    "Estimate",
    "Strengths",
    "amount",
    "auroc",
    "bins_of",
    "bootstrap",
    "bradley_terry",
    "calibration_error",
    "clustered",
    "cohen_dz",
    "cohen_kappa",
    "corrected",
    "correlation",
    "fleiss_kappa",
    "holm",
    "mean",
    "mean_over",
    "means",
    "minimum_detectable_effect",
    "over_confidence",
    "paired",
    "paired_hits",
    "proportion",
    "resampled",
    "sandwich",
    "share_over",
    "welch",
]
