"""Columns of the probe `cache`: one row per answer, and one per number of steps in a block."""

from __future__ import annotations

from mdlm_probe.core.columns import Column, Observation
from mdlm_probe.core.shared_columns import (
    ANSWER,
    ANSWER_TOKENS,
    DIVERGENCE,
    EDIT_DISTANCE,
    PASSES,
)

ANSWERS = (
    PASSES,
    Column("passes_exact", int, "passes", "forward passes of the exact answer"),
    Column("fed", int, "tokens", "tokens through the network, with the cache"),
    Column("fed_exact", int, "tokens", "tokens through the network, without it"),
    ANSWER_TOKENS,
    Column("answer_tokens_exact", int, "tokens", "tokens of the exact answer"),
    EDIT_DISTANCE,
    DIVERGENCE,
    Column("differ", float, "share", "positions that differ, to the longer answer's end"),
    ANSWER,
    Column("answer_exact", str, "", "the exact answer"),
)
STEPS = (
    Column("since", int, "steps", "steps since keys and values were computed anew"),
    Column("compared_passes", int, "passes", "forward passes that are compared"),
    Column("masks_asked", int, "masks", "masks asked in these passes"),
    Column("same_top", float, "share", "masks with the exact most probable token"),
    Column("dlogp_mean", float, "nats", "mean |error| of the exact top token's log p"),
    Column("dlogp_max", float, "nats", "largest |error| of the exact top token's log p"),
    Column("committed", int, "masks", "masks committed in these passes"),
    Column("same_choice", float, "share", "committed masks that exact passes commit, too"),
    Column("same_commit", float, "share", "committed masks with the exact token, too"),
)
OBSERVATIONS = (
    Observation("answers", "an answer with the cache, beside the exact one", ANSWERS),
    Observation("steps", "an answer's passes so many steps after a block began", STEPS),
)
