"""Columns of the probe `shift`: one row per answer, intervened or not."""

from __future__ import annotations

from mdlm_probe.core.columns import Column, optional
from mdlm_probe.core.shared_columns import (
    ANSWER,
    ANSWER_TOKENS,
    CANVAS,
    CORRECT,
    DIVERGENCE,
    EDIT_DISTANCE,
    ENDED,
    NLL,
    PASSES,
    RIGHT,
    SCORER_TOKENS,
    UNMASKED,
)
from mdlm_probe.decoding import text_quality

COLUMNS = (
    Column("prompt_tokens", int, "tokens", "tokens of the prompt, without masks"),
    ANSWER,
    ENDED,
    ANSWER_TOKENS,
    NLL,
    SCORER_TOKENS,
    *optional(RIGHT, CORRECT),
    *text_quality.COLUMNS,
    Column("offered", int, "tokens", "tokens that were about to be committed"),
    Column("hits", int, "tokens", "tokens that were to be changed, drawn beforehand"),
    Column("changed", int, "tokens", "tokens that were moved, replaced or held"),
    Column("realised", float, "share", "changed / offered"),
    Column("blocked", int, "tokens", "hits that were not changed: hits - changed"),
    Column("late", int, "tokens", "tokens moved in the stead of hit ones with no free side"),
    Column("to_right", int, "tokens", "tokens moved to the right"),
    Column("to_left", int, "tokens", "tokens moved to the left"),
    Column("refilled", int, "tokens", "moved tokens whose own place was filled in later"),
    Column("doubled", int, "tokens", "of these, places filled in with the same token again"),
    Column("visible", int, "tokens", "changes not behind the first end of the text"),
    EDIT_DISTANCE,
    DIVERGENCE,
    Column("parted_8", float, "share", "of the 8 positions after that, those that differ"),
    Column("parted_32", float, "share", "of the 32 positions after that, those that differ"),
    Column("cascade", int, "tokens", "places that differ though the intervention left them alone"),
    PASSES,
    Column("moves", str, "", "every change as step:place:to, places from 0"),
    UNMASKED,
    CANVAS,
)
"""`canvas`: see `answers.pieces`.

- Hits that are blocked found no free side, and no later token that had one; of `replace`, the
  other token happens to be the one that was drawn.
- Of two texts, what stands behind an end of text is nothing, on both sides.
- post-hoc has no passes of its own: its offers, hits and moves are those of the shift of its
  fraction, and its passes are those of the answer that it is applied to; the places that it wrote
  have the step after the last.
"""
