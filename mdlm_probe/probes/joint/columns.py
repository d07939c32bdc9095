"""Columns of the probe `joint`: of pairs of masks, pair sets, scored texts, and draws."""

from __future__ import annotations

from mdlm_probe.core.columns import Column, Observation, optional
from mdlm_probe.core.shared_columns import LOGP, STEPS, TEXT_TOKENS

PAIRS = (
    Column("masks_before", int, "masks", "masks of the window left of the pair"),
    Column("pair_distance", int, "tokens", "from the first mask to the second"),
    Column("mi", float, "nats", "mutual information, at least"),
    Column("mi_bound", float, "nats", "how much mi may miss, at most"),
    Column("tv_joint", float, "probability", "total variation of joint and marginals, at least"),
    Column("tv_joint_bound", float, "probability", "how much tv_joint may miss, at most"),
    Column("unlikely", float, "probability", "that a parallel draw is unlikely"),
    Column("unlikely_bound", float, "probability", "how much unlikely may miss"),
    Column("unlikely_sequential", float, "probability", "that a sequential draw is unlikely"),
    Column("unlikely_sequential_bound", float, "probability", "how much that may miss"),
    Column("circulation", float, "nats", "log p right to left less log p left to right"),
    Column("token_first", str, "", "the left token whose circulation was taken"),
    Column("token_second", str, "", "the right token whose circulation was taken"),
)
SETS = (
    Column("set_pairs", int, "pairs", "pairs of the set whose words are one token each"),
    Column("incoherent_parallel", float, "probability", "parallel words of two pairs"),
    Column("incoherent_sequential", float, "probability", "sequential words of two pairs"),
    Column("mass_parallel", float, "probability", "that both words are in it, parallel"),
    Column("mass_sequential", float, "probability", "that both words are in it, sequential"),
)
ORDERS = (
    TEXT_TOKENS,
    LOGP,
    *optional(
        Column("confidences", list, "", "the largest probability at each step, in the order"),
        Column("matches", list, "", "whether the text's token has it, 1 or 0, at each step"),
    ),
)
BUDGET = (
    TEXT_TOKENS,
    LOGP,
    Column("logp_steps", float, "nats", "log-likelihood as its own steps saw it"),
    STEPS,
    Column("written", str, "", "the text that was written"),
)
TOTAL = (
    Column("together", int, "masks", "first masks of the order, which are filled at once"),
    Column("entropy_parallel", float, "nats", "sum of their entropies, each without the others"),
    Column("entropy_sequential", float, "nats", "the same, each given the tokens drawn before it"),
    Column("logp_parallel", float, "nats", "log-probability of the drawn tokens, all at once"),
    Column("logp_sequential", float, "nats", "the same, one token after another"),
)
OBSERVATIONS = (
    Observation("pairs", "two masks of a text's window", PAIRS),
    Observation("sets", "a pair set", SETS),
    Observation("orders", "a text's continuation, scored in an order", ORDERS),
    Observation("budget", "a text, written by steps of so many masks", BUDGET),
    Observation("total", "the first so many masks of a text's window, drawn once", TOTAL),
)
"""Incoherent: given that both are words of the set."""
