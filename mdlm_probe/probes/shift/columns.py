"""Columns of the probe `shift`: one row per answer, intervened or not."""

from __future__ import annotations

from mdlm_probe.core.columns import Column
from mdlm_probe.decoding import text_quality

COLUMNS = (
    Column("tokens", int, "tokens", "tokens of the prompt"),
    Column("answer", str, "", "text of the answer, up to the first end of text"),
    Column("ended", bool, "", "whether an end of text was written"),
    Column("answer_tokens", int, "tokens", "tokens of the answer"),
    Column("nll", float, "nats", "negative log-likelihood of the answer under the scorer"),
    Column("scorer_tokens", int, "tokens", "tokens of the answer by the scorer's tokenizer"),
    Column("right", str, "", "the prompt's right answer, where it has one"),
    Column("correct", bool, "", "whether the answer is an exact match of the right one"),
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
    Column("edit_distance", int, "tokens", "from the unintervened answer"),
    Column("divergence", int, "", "first position that differs from it, from 0; empty: equal"),
    Column("parted_8", float, "share", "of the 8 positions after that, those that differ"),
    Column("parted_32", float, "share", "of the 32 positions after that, those that differ"),
    Column("cascade", int, "tokens", "places that differ though the intervention left them alone"),
    Column("passes", int, "passes", "forward passes"),
    Column("moves", str, "", "every change as step:place:to, places from 0"),
    Column("unmasked", str, "", "step that wrote each place, from 1; 0 where none did"),
    Column("canvas", list, "", "text of every position of the canvas"),
)
"""`canvas`: see `answers.pieces`.

- Hits that are blocked found no free side, and no later token that had one; of `replace`, the
  other token happens to be the one that was drawn.
- Of two texts, what stands behind an end of text is nothing, on both sides.
- post-hoc has no passes of its own: its offers, hits and moves are those of the shift of its
  fraction, and its passes are those of the answer that it is applied to; the places that it wrote
  have the step after the last.
"""
