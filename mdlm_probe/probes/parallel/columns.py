"""Columns of the probe `parallel`: one row per answer."""

from __future__ import annotations

from mdlm_probe.core.columns import Column
from mdlm_probe.core.shared_columns import ANSWER, CORRECT, PASSES, PER_STEP, UNMASKED

COLUMNS = (
    Column("word_list", str, "", "the list's words, in its order"),
    Column("new_word", str, "", "the word that replaces one, or is added; empty: none"),
    Column("list_place", int, "words", "where it does, or a word is left out, from 1; empty: any"),
    ANSWER,
    Column(
        "arrangement",
        str,
        "",
        "of each slot the word's place in the list, from 1; +: the new one; ?: none",
    ),
    CORRECT,
    Column(
        "fault",
        str,
        "",
        "why it is wrong: foreign or repeated words, the list copied, misplaced words",
    ),
    Column(
        "optimum",
        float,
        "probability",
        "that an ideal reader is right in these steps; empty: they hang on draws",
    ),
    Column("logp_written", float, "nats", "log-probability of the answer's tokens, in their steps"),
    PER_STEP,
    PASSES,
    UNMASKED,
)
