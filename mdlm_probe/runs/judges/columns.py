"""Columns of verdicts: one row per pair of answers and order."""

from __future__ import annotations

from mdlm_probe.core.columns import MODEL, RUN, Column, names, optional
from mdlm_probe.core.options import AMOUNT, Traits
from mdlm_probe.core.shared_columns import FRAC, INTERVENTION, PROMPT, SEED, TASK

AGAINST = optional(
    Column("against", str, "", "the other model; missing where a model is compared with itself"),
    Column("characters", int, "characters", "length of the answer of `model`"),
    Column("against_characters", int, "characters", "length of the other model's answer"),
)
"""Of verdicts on two models."""
AGAINST_NAMES = names(AGAINST)
COLUMNS = (
    Column("judge", str, "", "the judge's name"),
    MODEL,
    PROMPT,
    TASK,
    Column("settings", str, "", "how the answers were decoded, where the run has several ways"),
    SEED,
    INTERVENTION,
    FRAC,
    Column("shown", str, "", "the first of the two: first (A), second (B), or none: in no order"),
    Column("identical", bool, "", "whether the two answers are the same text"),
    Column("verdict", str, "", "one of five about A and B; or refused, unparsable or failed"),
    Column("win", float, "", "1: the first of the two won; 0: it lost; 0.5: a tie"),
    Column("strength", int, "", "2: the first of the two is much better; to -2: much worse"),
    Column("logp_a", float, "nats", "log-probability of the letter A, of a local judge"),
    Column("logp_b", float, "nats", "log-probability of the letter B, of a local judge"),
    Column("tokens_read", int, "tokens", "tokens that the judge read"),
    Column("tokens_written", int, "tokens", "tokens that the judge wrote"),
    Column("reason", str, "", "why there is no verdict, or what else is to say"),
    *AGAINST,
    RUN,
)
"""The first of the two answers is the shifted one; of two models, that of `model`. A verdict that
doesn't depend on the order is written as if it were A."""

PEOPLE = "human-"
"""What the names of judges who are people begin with."""
NAMES = names(COLUMNS)
OWN_NAMES = tuple(name for name in NAMES if name not in AGAINST_NAMES)
"""Of verdicts on a model and itself."""
COORDINATES = tuple(
    column
    for column in COLUMNS
    if column.name in ("prompt", "task", "seed", "intervention", "frac")
)
"""Those that tell which answer was judged."""

OPTIONS = {"limit": AMOUNT, "interventions": Traits(), "fracs": Traits(), "against": Traits()}
"""Those of `Choice` and `ModelChoice`, as run.json has them."""
