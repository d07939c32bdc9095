"""Columns of the probe `cache`: one row per answer, and one per number of steps in a block."""

from __future__ import annotations

from mdlm_probe.core.columns import Column
from mdlm_probe.core.shared_columns import (
    ANSWER,
    ANSWER_TOKENS,
    DIVERGENCE,
    EDIT_DISTANCE,
    PASSES,
)

COLUMNS = (
    Column("unit", str, "", "what the row is of: since (steps in a block) or text (an answer)"),
    PASSES,
    Column("compared_passes", int, "passes", "since: forward passes that are compared"),
    Column("since", int, "steps", "since: steps since keys and values were computed anew"),
    Column("masks_asked", int, "masks", "since: masks asked in these passes"),
    Column("same_top", float, "share", "since: masks with the exact most probable token"),
    Column("dlogp_mean", float, "nats", "since: mean |error| of the exact top token's log p"),
    Column("dlogp_max", float, "nats", "since: largest |error| of the exact top token's log p"),
    Column("committed", int, "masks", "since: masks committed in these passes"),
    Column("same_choice", float, "share", "since: committed masks that exact passes commit, too"),
    Column("same_commit", float, "share", "since: committed masks with the exact token, too"),
    Column("passes_exact", int, "passes", "text: forward passes of the exact answer"),
    Column("fed", int, "tokens", "text: tokens through the network, with the cache"),
    Column("fed_exact", int, "tokens", "text: tokens through the network, without it"),
    ANSWER_TOKENS,
    Column("answer_tokens_exact", int, "tokens", "text: tokens of the exact answer"),
    EDIT_DISTANCE,
    DIVERGENCE,
    Column("differ", float, "share", "text: positions that differ, to the longer answer's end"),
    ANSWER,
    Column("answer_exact", str, "", "text: the exact answer"),
)
