"""Answers to few-shot questions with their confidence: what calibration is measured of.

In two ways, since a model that puts some probability on what is no option is judged otherwise by
each: among all tokens its answer is the most probable token, with that token's probability; among
the options it is the most probable option, with its share of all options' probability. Choices of
several tokens are judged among the options only.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mdlm_probe.analysis.calibration_report import graded, over
from mdlm_probe.probes._few_shot import choices
from mdlm_probe.probes._few_shot.report_parts import ITEM, RELEVANT

AMONG = "among"
TOKENS, OPTIONS = "tokens", "options"
"""What an answer is the most probable of."""
COUNTS = (("n", "items"), ("units", "relevant tasks"))
"""Columns whose numbers stand in charts of calibration."""


def answers(frame: pd.DataFrame) -> pd.DataFrame:
    """Graded answers, by what they are chosen `among`; none of rows that lack what it takes."""
    if not set(choices.COLUMNS) <= set(frame.columns) or not len(frame):
        return pd.DataFrame()
    whole = frame["suite"].astype(str).str.startswith("lm-eval:").to_numpy()
    tokens = frame[~whole].assign(**{AMONG: TOKENS})
    found = [graded(tokens, tokens["top1_prob"], tokens["correct"], [RELEVANT], ITEM)]
    logps = choices.logps(frame).fillna(-np.inf).to_numpy()
    most = logps.max(axis=1)
    with np.errstate(invalid="ignore"):  # no option is possible: no share
        share = 1 / np.exp(logps - most[:, None]).sum(axis=1)
    letters, _ = choices.best(frame)
    options = frame.assign(**{AMONG: OPTIONS})
    hits = letters == choices.right(frame)
    found.append(graded(options, share, hits, [RELEVANT], ITEM))
    return pd.concat([part for part in found if len(part)] or found[:1], ignore_index=True)


def main(answers: pd.DataFrame) -> pd.DataFrame:
    """Of a table or of answers the lines that are drawn: those among tokens, or what there is."""
    if not len(answers):
        return answers
    tokens = answers[AMONG] == TOKENS
    return answers[tokens] if tokens.any() else answers


def charted(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of a table that are drawn, with what their intervals are over."""
    return over(main(table))
