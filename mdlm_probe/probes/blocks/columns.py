"""Columns of the probe `blocks`: one row per answer."""

from __future__ import annotations

from mdlm_probe.core.columns import Column, optional
from mdlm_probe.core.shared_columns import (
    ANSWER,
    ANSWER_TOKENS,
    CANVAS,
    CORRECT,
    END_FIRST,
    ENDED,
    NLL,
    PASSES,
    PER_STEP,
    RIGHT,
    SCORER_TOKENS,
    UNMASKED,
)
from mdlm_probe.decoding import text_quality

SPANS = (1, 4)
"""Tokens of a span, and leftmost masks, of local and global AR-ness."""
RIGHT_STEPS = optional(
    Column(
        "first_predicted",
        int,
        "steps",
        "first step whose predictions for all masks left read as the right answer",
    ),
    Column("predicted_step", int, "steps", "step from which on they do for good; empty: never"),
    Column("written_step", int, "steps", "step after which the committed tokens do; empty: never"),
)
"""When the right answer is there: see `answer_steps`."""
STEPS = optional(
    Column("steps_made", int, "steps", "steps that were made"),
    *RIGHT_STEPS,
    Column("path_entropy", float, "nats", "mean entropy of the masks left, mean over steps"),
    Column("state_entropy", str, "", "mean entropy of the masks left at each step, in nats"),
    *(
        Column(f"{name}_ar_{k}", float, "share", meaning.format(k=k))
        for name, meaning in (
            ("local", "spans of {k} tokens unmasked in turn, each right behind its left neighbour"),
            ("global", "tokens that were one of the {k} leftmost masks when unmasked"),
        )
        for k in SPANS
    ),
)
"""What steps say of the answer, and of how close to left to right they go: see `order_metrics`.

Optional, since runs of earlier versions have none.
"""
COLUMNS = (
    ANSWER,
    ANSWER_TOKENS,
    ENDED,
    NLL,
    SCORER_TOKENS,
    *optional(RIGHT, CORRECT),
    *text_quality.COLUMNS,
    Column("confidence", float, "probability", "geometric mean of its tokens' when committed"),
    PASSES,
    Column("decided", int, "passes", "passes after which the answer was whole"),
    Column("canvas_tokens", int, "tokens", "tokens that went through the network in all passes"),
    Column("tau", float, "", "Kendall's tau-b of positions and steps over all masks"),
    Column("answer_tau", float, "", "Kendall's tau-b of positions and steps over the answer"),
    PER_STEP,
    END_FIRST,
    Column("tail_eos_first", float, "share", "trailing ends of text committed in step 1"),
    UNMASKED,
    CANVAS,
    *STEPS,
)
"""`canvas`: see `answers.pieces`; from `confidence` to `unmasked`: see `filling_order`."""
