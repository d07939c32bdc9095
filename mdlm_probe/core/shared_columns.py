"""Columns that several writers of rows have: one name, one type, one unit and one meaning.

A name that stands in the rows of two writers means the same in both. Where two need other words,
they need other names.
"""

from __future__ import annotations

from mdlm_probe.core.columns import Column

PROMPT = Column("prompt", str, "", "id of the prompt, or name of the pair set")
TASK = Column("task", str, "", "type of the prompt, or task of the set, pair set or documents")
"""The unit that intervals and tests of few-shot sets are over, whatever was answered: the set's
relevant task; of open prompts, what tables and figures group them by."""
PLACE = Column("place", int, "", "the mask's number, from 1 at the left")
TOKENS = Column("tokens", int, "tokens", "tokens that the model reads, masks among them")

RIGHT = Column("right", str, "", "the right answer; empty where the prompt has none")
PREDICTED = Column(
    "predicted", str, "", "text of the likeliest tokens, or the best choice's letter"
)
CORRECT = Column("correct", bool, "", "whether the answer is right; empty where none is known")
LOGP_RIGHT = Column(
    "logp_right", float, "nats", "log-probability of the right answer; -inf: impossible"
)
ENTROPY = Column("entropy", float, "nats", "entropy at the mask; of answers, at their first token")
TOP1_PROB = Column(
    "top1_prob",
    float,
    "probability",
    "of the likeliest token at the mask; of answers, at their first token",
)

ANSWER = Column("answer", str, "", "text of the answer, up to the first end of text")
ANSWER_TOKENS = Column("answer_tokens", int, "tokens", "tokens of the answer")
ENDED = Column("ended", bool, "", "whether an end of text was written")
NLL = Column(
    "nll",
    float,
    "nats",
    "negative log-likelihood of the answer under the scorer; inf: it can't be",
    optional=True,
)
SCORER_TOKENS = Column(
    "scorer_tokens", int, "tokens", "tokens of the answer by the scorer's tokenizer", optional=True
)
PASSES = Column("passes", int, "passes", "forward passes that wrote the answer")
PER_STEP = Column("per_step", float, "tokens", "masks committed per step, on average")
UNMASKED = Column("unmasked", str, "", "step that filled each place, from 1; 0 where none did")
END_FIRST = Column("end_first", float, "share", "answer's tokens committed after the end of text")
CANVAS = Column("canvas", list, "", "text of every position of the canvas")
EDIT_DISTANCE = Column("edit_distance", int, "tokens", "from the answer that it is compared with")
DIVERGENCE = Column(
    "divergence", int, "", "first position that differs from it, from 0; empty: equal"
)

TEXT_TOKENS = Column("text_tokens", int, "tokens", "tokens of the scored text")
LOGP = Column("logp", float, "nats", "log-likelihood of these by the chain rule")

INTERVENTION = Column(
    "intervention", str, "", "what is done to tokens: none, shift, post-hoc, replace or hold"
)
FRAC = Column("frac", float, "share", "share of the committed tokens that are to be changed")
TOKEN_TEXT = Column("token_text", str, "", "text of the token")
LEXICON = Column("lexicon", str, "", "word lists that the prompts are made of: full or small")
SEED = Column("seed", int, "", "seed of all that is drawn at random")
STEPS = Column("steps", int, "steps", "unmasking steps that the masks are spread over")
ORDER = Column(
    "order", str, "", "which masks a step commits; settings of the rule, but the usual ones"
)
ITEM = Column("item", int, "", "number of the test point in its set, from 0")
N = Column("n", int, "", "independent units that intervals are over: prompts, items or documents")
