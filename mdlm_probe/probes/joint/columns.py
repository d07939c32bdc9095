"""Columns of the probe `joint`: of pairs of masks, of pair sets, and of scored texts."""

from __future__ import annotations

from mdlm_probe.core.columns import Column
from mdlm_probe.core.shared_columns import STEPS

PAIRS = (
    Column("masks_before", int, "masks", "pairs: masks of the window left of the pair"),
    Column("pair_distance", int, "tokens", "pairs: from the first mask to the second"),
    Column("mi", float, "nats", "pairs: mutual information, at least"),
    Column("mi_bound", float, "nats", "pairs: how much mi may miss, at most"),
    Column(
        "tv_joint", float, "probability", "pairs: total variation of joint and marginals, at least"
    ),
    Column("tv_joint_bound", float, "probability", "pairs: how much tv_joint may miss, at most"),
    Column("unlikely", float, "probability", "pairs: that a parallel draw is unlikely"),
    Column("unlikely_bound", float, "probability", "pairs: how much unlikely may miss"),
    Column(
        "unlikely_sequential", float, "probability", "pairs: that a sequential draw is unlikely"
    ),
    Column("unlikely_sequential_bound", float, "probability", "pairs: how much that may miss"),
    Column("circulation", float, "nats", "pairs: log p right to left less log p left to right"),
    Column("token_first", str, "", "pairs: the left token whose circulation was taken"),
    Column("token_second", str, "", "pairs: the right token whose circulation was taken"),
)
SETS = (
    Column("set_pairs", int, "pairs", "sets: pairs of the set whose words are one token each"),
    Column("incoherent_parallel", float, "probability", "sets: parallel words of two pairs"),
    Column("incoherent_sequential", float, "probability", "sets: sequential words of two pairs"),
    Column("mass_parallel", float, "probability", "sets: that both words are in it, parallel"),
    Column("mass_sequential", float, "probability", "sets: that both words are in it, sequential"),
)
TEXTS = (
    Column("text_tokens", int, "tokens", "orders, budget: tokens of the scored text"),
    Column("logp", float, "nats", "orders, budget: log-likelihood of these by the chain rule"),
    Column("logp_steps", float, "nats", "budget: log-likelihood as its own steps saw it"),
    STEPS,
    Column("written", str, "", "budget: the text that was written"),
)
COLUMNS = (*PAIRS, *SETS, *TEXTS)
"""Each measure has its own columns; the others are empty. Incoherent: given that both are words of
the set."""
