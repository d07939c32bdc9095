"""Columns of the probe `attribution`: one row per example, group or token of a prompt."""

from __future__ import annotations

from mdlm_probe.core.columns import Column
from mdlm_probe.core.shared_columns import CORRECT, PREDICTED, RIGHT, TASK

SCORES = (
    Column("unit", str, "", "what the row is of: example (the question too), group or token"),
    Column("examples_before", int, "examples", "examples left of an example, or of the question"),
    Column("token_position", int, "", "position of a token in the prompt, from 0"),
    Column("label", str, "", "relevant, distractor or question; a group's name; a token's text"),
    Column("summed_tokens", int, "tokens", "tokens whose scores are summed"),
    Column("score", float, "logits", "sum of these scores, by the method"),
    Column("mean", float, "logits", "score per token"),
    Column("normalised", float, "share", "score or mean relative to the prompt's largest"),
    Column("by_others", float, "share", "mean relative to the largest but the answer's own mask"),
)
"""What the scores of a part of a prompt say.

- examples_before: the question isn't counted.
- score: in the unit of the method: logits, or logits per unit of embedding.
- normalised: of examples and the question, the sum by the largest sum of the prompt's examples; of
  groups and tokens, the mean by the largest token of the prompt (ours).
- by_others: of groups and tokens, the mean by the largest token other than the answer's own mask,
  which has none itself (arXiv 2511.21338, table 1); empty for examples.
"""

COLUMNS = (
    *SCORES,
    TASK,
    RIGHT,
    PREDICTED,
    CORRECT,
    Column("logit", float, "logits", "logit of the predicted token, which is explained"),
    Column("gap", float, "logits", "integrated gradients: sum of the scores less its theory"),
)
