"""Columns of the probe `attribution`: one row per example, group or token of a prompt."""

from __future__ import annotations

from mdlm_probe.core.columns import Column, Observation, optional
from mdlm_probe.core.shared_columns import CORRECT, PREDICTED, RIGHT, TASK, TOKEN_TEXT

BY_OTHERS = Column(
    "by_others", float, "share", "mean relative to the largest but the answer's own mask"
)
SCORES = (
    Column("summed_tokens", int, "tokens", "tokens whose scores are summed"),
    Column("score", float, "logits", "sum of these scores, by the method"),
    Column("mean", float, "logits", "score per token"),
    Column("normalised", float, "share", "score or mean relative to the prompt's largest"),
)
"""What the scores of a part of a prompt say.

- score: in the unit of the method: logits, or logits per unit of embedding.
- normalised: of examples and the question, the sum by the largest sum of the prompt's examples; of
  groups and tokens, the mean by the largest token of the prompt (ours).
- by_others: of groups and tokens, the mean by the largest token other than the answer's own mask,
  which has none itself (arXiv 2511.21338, table 1).
"""
ANSWER = (
    TASK,
    RIGHT,
    PREDICTED,
    CORRECT,
    Column("logit", float, "logits", "logit of the predicted token, which is explained"),
    *optional(
        Column("gap", float, "logits", "integrated gradients: sum of the scores less its theory")
    ),
)
EXAMPLES = (
    Column("examples_before", int, "examples", "examples left of it; the question isn't counted"),
    Column("label", str, "", "what it is: relevant, distractor or question"),
    *SCORES,
    *ANSWER,
)
GROUPS = (
    Column("group", str, "", "which tokens: answer, masks, last-50 or all"),
    *SCORES,
    BY_OTHERS,
    *ANSWER,
)
TOKENS = (
    Column("token_position", int, "", "position of a token in the prompt, from 0"),
    TOKEN_TEXT,
    *SCORES,
    BY_OTHERS,
    *ANSWER,
)
OBSERVATIONS = (
    Observation("examples", "an example of a prompt, or its question", EXAMPLES),
    Observation("groups", "a group of a prompt's tokens", GROUPS),
    Observation("tokens", "a token of a prompt, with --detail token", TOKENS),
)
