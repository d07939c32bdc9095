"""Columns of the probe `canvas`: one row per answer."""

from __future__ import annotations

from mdlm_probe.core.columns import Column, names, optional
from mdlm_probe.core.shared_columns import (
    ANSWER,
    ANSWER_TOKENS,
    END_FIRST,
    ENDED,
    PASSES,
    RIGHT,
    UNMASKED,
)

FOUND = optional(
    RIGHT,
    Column(
        "in_first_sentence",
        bool,
        "",
        "whether the answer's first sentence holds the right answer as whole words",
    ),
)
"""Of prompts that have a right answer only."""
OF_CANVASES = optional(
    Column("first_commits", int, "tokens", "tokens that step 1 committed"),
    Column("first_ends", int, "tokens", "of these, ends of text"),
    Column("first_end_place", int, "", "leftmost of these ends, a place from 1; empty: none"),
    END_FIRST,
    Column(
        "mean_end_mass", float, "probability", "mass on ends of text at step 1, mean over masks"
    ),
    Column("end_masses", str, "", "mass on ends of text at step 1, of each mask that it computed"),
    UNMASKED,
)
"""What a causal model, which has no canvas, leaves empty."""
COLUMNS = (ANSWER, ANSWER_TOKENS, ENDED, *FOUND, PASSES, *OF_CANVASES)
FOUND_NAMES, CANVAS_NAMES = names(FOUND), names(OF_CANVASES)
