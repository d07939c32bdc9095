"""Columns of the probe `alignment`: of answers, of targets, and of the tokens of a tail."""

from __future__ import annotations

from mdlm_probe.core.columns import Column, Observation
from mdlm_probe.core.shared_columns import ANSWER, ANSWER_TOKENS, ENDED
from mdlm_probe.probes.alignment.moved_targets import TARGETS

ANSWERS = (
    ANSWER,
    ENDED,
    ANSWER_TOKENS,
    Column("tail_begins", int, "tokens", "tokens of the text before the tail; empty: too short"),
)
WHERE = (
    Column("masked_share", float, "share", "tokens of the tail that are masked"),
    Column(
        "tail_shown",
        str,
        "",
        "visible of the tail: none of it, the target's (moved), or the unmoved text's",
    ),
)
OF_TARGETS = (
    *WHERE,
    Column("target", str, "", "the tail as it is (unmoved), moved, or with one other token"),
    Column("tail_tokens", int, "tokens", "tokens of the tail"),
    Column("scored", int, "tokens", "masks with a label"),
    Column("cross_entropy", float, "nats", "cross-entropy of these labels, summed"),
    Column("flexible", float, "nats", "minus log p of the tokens in any placement, all as likely"),
    Column(
        "flexible_slack",
        float,
        "nats",
        "minus log p of the tokens, slack elsewhere; empty: the model has none",
    ),
)
OF_TOKENS = (
    *WHERE,
    Column(
        "from_point",
        int,
        "tokens",
        "number in the tail, 0: the other token; labels alone moved: of the slot",
    ),
    *(Column(f"ce_{t}", float, "nats", f"cross-entropy there, target {t}") for t in TARGETS),
    Column("equal_right", bool, "", "moved right it is what stands there in the unmoved text"),
    Column("equal_left", bool, "", "moved left it is what stands there in the unmoved text"),
)
OBSERVATIONS = (
    Observation("answers", "a text whose tail is moved", ANSWERS),
    Observation("targets", "a target, over the masks of its canvas", OF_TARGETS),
    Observation("tokens", "a token of the tail, or a slot", OF_TOKENS),
)
