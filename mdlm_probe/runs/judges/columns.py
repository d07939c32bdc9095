"""Columns of verdicts: one row per pair of answers and order."""

from __future__ import annotations

from mdlm_probe.core.columns import MODEL, RUN, Column, names
from mdlm_probe.core.options import AMOUNT, Traits
from mdlm_probe.core.shared_columns import FRAC, INTERVENTION, PROMPT, SEED, TASK

COLUMNS = (
    Column("judge", str, "", "the judge's name"),
    MODEL,
    PROMPT,
    TASK,
    Column("settings", str, "", "how the answers were decoded, where the run has several ways"),
    SEED,
    INTERVENTION,
    FRAC,
    Column("shown", str, "", "the shifted answer: first (A), second (B), or none: in no order"),
    Column("identical", bool, "", "whether the two answers are the same text"),
    Column("verdict", str, "", "one of five about A and B; or refused, unparsable or failed"),
    Column("win", float, "", "1: the shifted answer won; 0: it lost; 0.5: a tie"),
    Column("strength", int, "", "2: the shifted answer is much better; to -2: much worse"),
    Column("logp_a", float, "nats", "log-probability of the letter A, of a local judge"),
    Column("logp_b", float, "nats", "log-probability of the letter B, of a local judge"),
    Column("tokens_read", int, "tokens", "tokens that the judge read"),
    Column("tokens_written", int, "tokens", "tokens that the judge wrote"),
    Column("reason", str, "", "why there is no verdict, or what else is to say"),
    RUN,
)
"""A verdict that doesn't depend on the order is written as if the shifted answer were A."""

NAMES = names(COLUMNS)
COORDINATES = tuple(
    column
    for column in COLUMNS
    if column.name in ("prompt", "task", "seed", "intervention", "frac")
)
"""Those that tell which answer was judged."""

OPTIONS = {"limit": AMOUNT, "interventions": Traits(), "fracs": Traits()}
"""Those of `Choice`, as run.json has them."""
