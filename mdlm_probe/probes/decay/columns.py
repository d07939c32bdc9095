"""Columns of the probe `decay`: of masks, pairs of masks, the far end, and its tokens."""

from __future__ import annotations

from mdlm_probe.core.columns import Column, Observation, optional
from mdlm_probe.core.shared_columns import ENTROPY, PLACE, TOKEN_TEXT, TOP1_PROB

MASSES = ("frequent_mass", "prompt_mass", "end_mass")
ERRORS = ("frequent_se", "prompt_se", "end_se")
SAMPLED = ("top1_naive", "top1_se", *ERRORS)
"""Of models whose continuations are sampled."""
ENDS = ("end_mass", "end_se")
"""Of models with an end of text."""
THEORY = ("bound", "greedy")
"""Of text on the left only."""

VISIBLE_TOKENS = Column(
    "visible_tokens", int, "tokens", "tokens that the model sees, without masks"
)
DISTANCE = Column("distance", int, "tokens", "from the mask to the nearest visible token")
TOP = (
    TOP1_PROB,
    ENTROPY,
    Column("top_id", int, "", "id of the most probable token"),
    Column("top", str, "", "text of the most probable token"),
    Column("frequent_mass", float, "probability", "of the frequent tokens together"),
    Column("prompt_mass", float, "probability", "of the prompt's tokens together"),
    *optional(Column("end_mass", float, "probability", "of all tokens that end a text together")),
)
APART = (
    Column(
        "js", float, "nats", "Jensen-Shannon divergence: of two masks, or of far end and unigrams"
    ),
    Column("tv", float, "probability", "total variation: of two masks, or of far end and unigrams"),
)

PLACES = (
    VISIBLE_TOKENS,
    PLACE,
    DISTANCE,
    *TOP,
    *optional(
        Column("bound", float, "probability", "theory: the most that top1_prob can be on average"),
        Column("greedy", float, "probability", "theory: of the greedy path's token, at most"),
        Column("top1_naive", float, "probability", "samples: largest of their mean, too large"),
        Column("top1_se", float, "probability", "samples: standard error of top1_prob"),
        Column("frequent_se", float, "probability", "samples: standard error of frequent_mass"),
        Column("prompt_se", float, "probability", "samples: standard error of prompt_mass"),
        Column("end_se", float, "probability", "samples: standard error of end_mass"),
    ),
)
"""Theory: see `zipf_bound`. Samples: of continuations, see `sampled_continuations.Marginals`."""
PAIRS = (
    VISIBLE_TOKENS,
    PLACE,
    Column("other_place", int, "", "number of the second mask, from 1 at the left"),
    DISTANCE,
    *APART,
)
"""`distance` is the nearer mask's."""
FAR = (
    VISIBLE_TOKENS,
    *TOP,
    *APART,
    Column("js_halves", float, "nats", "js of the unigrams of two halves of the texts"),
)
"""See `distances.middle`. `js_halves` is what counting few texts adds to `js`."""
TOKENS = (
    VISIBLE_TOKENS,
    Column("token_id", int, "", "id of the token"),
    TOKEN_TEXT,
    Column("share", float, "probability", "of the token, in the far end's mean distribution"),
    Column("unigram", float, "share", "of the token, among the tokens of the texts"),
)
PROMPTS = (
    VISIBLE_TOKENS,
    PLACE,
    DISTANCE,
    *APART,
    Column("beside", str, "", "the other prompt: the next one of the task"),
)
EDGE = (
    VISIBLE_TOKENS,
    PLACE,
    DISTANCE,
    *APART,
    Column("longer_masks", int, "masks", "masks of the longer canvas"),
)
NEXT_TOKENS = (
    VISIBLE_TOKENS,
    Column("log_rank", float, "nats", "mean logarithm of the next token's rank"),
    ENTROPY,
    Column("support", int, "tokens", "next tokens of any probability"),
)
"""What laws are fitted by; see `zipf_fit`."""
OBSERVATIONS = (
    Observation("places", "a mask", PLACES),
    Observation("pairs", "two masks", PAIRS),
    Observation("far", "the mean distribution of the far end", FAR),
    Observation("tokens", "one of the far end's most probable tokens", TOKENS),
    Observation("prompts", "a mask after a prompt, and after another one", PROMPTS),
    Observation("edge", "a mask near the canvas's end, and in a longer canvas", EDGE),
    Observation("next-tokens", "the next token's distribution, by ranks", NEXT_TOKENS),
)
