"""Columns of the probe `decay`: one row per mask, pair of masks, far end, and its tokens."""

from __future__ import annotations

from mdlm_probe.core.columns import Column
from mdlm_probe.core.shared_columns import ENTROPY, TOP1_PROB

MASSES = ("frequent_mass", "prompt_mass", "end_mass")
ERRORS = ("frequent_se", "prompt_se", "end_se")

COLUMNS = (
    Column("unit", str, "", "what the row is of: place, pair, far, token, prompts, edge, zipf"),
    Column("visible_tokens", int, "tokens", "tokens that the model sees, without masks"),
    Column("place", int, "", "the mask's number, from 1 at the left"),
    Column("distance", int, "tokens", "from the mask to the nearest visible token"),
    TOP1_PROB,
    ENTROPY,
    Column("top_id", int, "", "id of the most probable token"),
    Column("top", str, "", "text of the most probable token"),
    Column("frequent_mass", float, "probability", "of the frequent tokens together"),
    Column("prompt_mass", float, "probability", "of the prompt's tokens together"),
    Column("end_mass", float, "probability", "of all tokens that end a text together"),
    Column("bound", float, "probability", "theory: the most that top1_prob can be on average"),
    Column("greedy", float, "probability", "theory: of the greedy path's token, at most"),
    Column("top1_naive", float, "probability", "samples: largest of their mean, too large"),
    Column("top1_se", float, "probability", "samples: standard error of top1_prob"),
    Column("frequent_se", float, "probability", "samples: standard error of frequent_mass"),
    Column("prompt_se", float, "probability", "samples: standard error of prompt_mass"),
    Column("end_se", float, "probability", "samples: standard error of end_mass"),
    Column("other_place", int, "", "pair: number of the second mask, from 1 at the left"),
    Column("longer_masks", int, "masks", "edge: masks of the longer canvas"),
    Column(
        "js", float, "nats", "Jensen-Shannon divergence: of two masks, or of far end and unigrams"
    ),
    Column("tv", float, "probability", "total variation: of two masks, or of far end and unigrams"),
    Column("js_halves", float, "nats", "far: js of the unigrams of two halves of the texts"),
    Column("share", float, "probability", "token: in the mean distribution of the far end"),
    Column("unigram", float, "share", "token: among the tokens of the texts"),
    Column("beside", str, "", "prompts: the other prompt"),
    Column("log_rank", float, "nats", "zipf: mean logarithm of the next token's rank"),
    Column("support", int, "tokens", "zipf: next tokens of any probability"),
)
"""What a row is, its `unit` says:

- "place": one mask. `bound` and `greedy` are theory (see `zipf_bound`). Of sampled continuations
  also `top1_naive` and standard errors (see `sampled_continuations.Marginals`).
- "pair": the masks at `place` and `other_place`; `distance` is the nearer one's.
- "far": the mean distribution of the far end (see `distances.middle`); `js`, `tv` from the
  unigrams; `js_halves` between those of either half of the texts: what counting few texts adds.
- "token": one of the far end's most probable tokens.
- "prompts": the mask at `place` after this prompt and after the next one of its task, `beside`.
- "edge": the mask at `place`, near the end of the canvas, and the same one in a longer canvas.
- "zipf": the next token's distribution by ranks, which laws are fitted by (see `zipf_fit`).
"""
