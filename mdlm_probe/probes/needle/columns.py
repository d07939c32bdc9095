"""Columns of the probe `needle`: one row per text and depth."""

from __future__ import annotations

from mdlm_probe.core.columns import Column

COLUMNS = (
    Column("form", str, "", "name of the fact's template"),
    Column("tokens", int, "tokens", "tokens of the whole text, with question and answer"),
    Column("needle_at", int, "tokens", "tokens before the fact"),
    Column("right", str, "", "the right answer"),
    Column("predicted", str, "", "text of the most probable token of each step"),
    Column("answer_tokens", int, "tokens", "tokens of the right answer"),
    Column("correct", bool, "", "whether every token of it was the most probable one"),
    Column("logp_right", float, "nats", "log-probability of the whole right answer"),
    Column("entropy", float, "nats", "entropy at the answer's first token"),
    Column("top1_prob", float, "probability", "of the most probable first token"),
    Column("sentences", int, "sentences", "sentences of the filler"),
    Column("fact_after", int, "sentences", "sentences of the filler before the fact"),
)
