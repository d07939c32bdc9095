"""Columns of the probe `needle`: one row per text and depth."""

from __future__ import annotations

from mdlm_probe.core.columns import Column
from mdlm_probe.core.shared_columns import (
    CORRECT,
    ENTROPY,
    LOGP_RIGHT,
    PREDICTED,
    RIGHT,
    TOKENS,
    TOP1_PROB,
)

COLUMNS = (
    Column("form", str, "", "name of the fact's template"),
    TOKENS,
    Column("needle_at", int, "tokens", "tokens before the fact"),
    RIGHT,
    PREDICTED,
    Column("right_tokens", int, "tokens", "tokens of the right answer"),
    CORRECT,
    LOGP_RIGHT,
    ENTROPY,
    TOP1_PROB,
    Column("sentences", int, "sentences", "sentences of the filler"),
    Column("fact_after", int, "sentences", "sentences of the filler before the fact"),
)
