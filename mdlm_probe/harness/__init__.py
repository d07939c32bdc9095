"""lm-eval's evaluator over our engine: its requests in, likelihoods and texts out.

`ProbeLM` is what lm-eval asks; requests become tokens in `request_tokens`, numbers in
`continuation_scores`, texts in `text_generation`. Every answer is written to a file as soon as it
is there (`answer_log`), under a name that holds all that changes it. Importing this imports
lm-eval.
"""

from __future__ import annotations

from mdlm_probe.decoding.presets import presets_for
from mdlm_probe.harness.answer_log import AnswerLog
from mdlm_probe.harness.base_model import EvaluationProgress
from mdlm_probe.harness.hub_results import check as check_hub
from mdlm_probe.harness.hub_results import finish as finish_push
from mdlm_probe.harness.hub_results import tracker_for
from mdlm_probe.harness.lm_eval_tasks import Loaded, load
from mdlm_probe.harness.probe_lm import ProbeLM
from mdlm_probe.harness.result_files import (
    COLUMNS,
    add_cuts,
    check_metrics,
    rows_of,
    save,
    write,
)
from mdlm_probe.harness.text_generation import check_generation_arguments

__all__ = [
    "COLUMNS",
    "AnswerLog",
    "EvaluationProgress",
    "Loaded",
    "ProbeLM",
    "add_cuts",
    "check_generation_arguments",
    "check_hub",
    "check_metrics",
    "finish_push",
    "load",
    "presets_for",
    "rows_of",
    "save",
    "tracker_for",
    "write",
]
