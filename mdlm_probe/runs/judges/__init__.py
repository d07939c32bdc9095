"""Judges: who says which of two answers is better, and the verdicts of whole runs.

A pair is a shifted answer and the unshifted one it began as, or the answers of two models. A judge
is asked about it in both orders, unless its verdict can't depend on the order. How to add a judge:
a file with a class that keeps the `Judge` protocol of `judge_calls.py`, and its choice in
`cli/judge_options.py`.
"""

from __future__ import annotations

from mdlm_probe.runs.judges.answer_pairs import Choice, asked_texts
from mdlm_probe.runs.judges.columns import COLUMNS
from mdlm_probe.runs.judges.endpoint import Access, EndpointJudge
from mdlm_probe.runs.judges.human import HumanJudge
from mdlm_probe.runs.judges.judge_calls import Judge
from mdlm_probe.runs.judges.judge_prompt import load as load_prompt
from mdlm_probe.runs.judges.judging import JudgeOutcome, judge, judge_models, name_of
from mdlm_probe.runs.judges.language import LanguageJudge
from mdlm_probe.runs.judges.likelihood import LikelihoodJudge
from mdlm_probe.runs.judges.local_model import LocalJudge
from mdlm_probe.runs.judges.model_pairs import ModelChoice

__all__ = [
    "COLUMNS",
    "Access",
    "Choice",
    "EndpointJudge",
    "HumanJudge",
    "Judge",
    "JudgeOutcome",
    "LanguageJudge",
    "LikelihoodJudge",
    "LocalJudge",
    "ModelChoice",
    "asked_texts",
    "judge",
    "judge_models",
    "load_prompt",
    "name_of",
]
