"""Columns of the probe `context`: a row for a span, by what stands at its right."""

from __future__ import annotations

from mdlm_probe.core.columns import Column
from mdlm_probe.core.shared_columns import LOGP, TEXT_TOKENS, TOKENS

COLUMNS = (
    Column("right_from", str, "", "whose tokens stand at the right of the span; none: nothing"),
    Column("right_amount", str, "", "tokens wanted at the right of the span: a number, or all"),
    Column("right_shown", int, "tokens", "tokens at the right of the span that are seen"),
    TOKENS,
    TEXT_TOKENS,
    LOGP,
    Column("token_logps", list, "", "log-probability (nats) of each of its tokens, left to right"),
)
