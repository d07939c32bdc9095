"""Columns of the probe `blocks`: one row per answer."""

from __future__ import annotations

from mdlm_probe.core.columns import Column, optional
from mdlm_probe.core.shared_columns import (
    ANSWER,
    ANSWER_TOKENS,
    CANVAS,
    CORRECT,
    ENDED,
    NLL,
    PASSES,
    RIGHT,
    SCORER_TOKENS,
    UNMASKED,
)
from mdlm_probe.decoding import text_quality

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
    Column("per_step", float, "tokens", "masks committed per step, on average"),
    Column("end_first", float, "share", "answer's tokens committed after the end of text"),
    Column("tail_eos_first", float, "share", "trailing ends of text committed in step 1"),
    UNMASKED,
    CANVAS,
)
"""`canvas`: see `answers.pieces`; from `confidence` to `unmasked`: see `filling_order`."""
