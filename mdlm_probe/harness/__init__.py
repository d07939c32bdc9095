"""lm-eval's evaluator over our engine: its requests in, likelihoods and texts out.

`ProbeLM` is what lm-eval asks; requests become tokens in `_pairs`, numbers in `_scores`, texts in
`_writing`. Every answer is kept in a file as soon as it is there (`_kept`), under a name that holds
all that changes it. Importing this imports lm-eval.
"""

from __future__ import annotations

from mdlm_probe.harness._base import EvaluationProgress
from mdlm_probe.harness._kept import Kept
from mdlm_probe.harness._lm import ProbeLM
from mdlm_probe.harness._presets import presets_for
from mdlm_probe.harness._results import COLUMNS, rows_of, save, write
from mdlm_probe.harness._tasks import Loaded, load
from mdlm_probe.harness._writing import check_wishes

__all__ = [
    "COLUMNS",
    "EvaluationProgress",
    "Kept",
    "Loaded",
    "ProbeLM",
    "check_wishes",
    "load",
    "presets_for",
    "rows_of",
    "save",
    "write",
]
