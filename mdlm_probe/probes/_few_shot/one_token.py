"""Options that a token each answers, scored by one query: a letter, or a word of one token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mdlm_probe.engine.queries import Answer, Asker, Query, Readout
from mdlm_probe.probes._few_shot.scoring import READOUTS, ScoringQueries
from mdlm_probe.prompts.few_shot_sets import (
    LETTERS,
    MAX_OPTIONS,
    Example,
    FewShotSet,
    answer_text,
)
from mdlm_probe.prompts.prompt import Prompt


def query(
    asker: Asker, source: FewShotSet, example: Example, asked: Prompt, answer: str, name: str
) -> Query:
    """Asks for the first mask of a prompt, or for the token after its end (causal models)."""
    ids = asker.border.encode(asked)
    place = len(ids) if asker.entry.kind == "causal" else ids.index(asker.entry.mask)
    texts = [answer_text(example, i, answer) for i in range(len(example.options))]
    opening = source.template.opening()
    options = Readout("chosen", tuple(asker.border.token(text, opening) for text in texts))
    return Query(ids, (place,), (options, *READOUTS), name)


def spread(
    asker: Asker, source: FewShotSet, example: Example, query: Query, steps: int
) -> ScoringQueries:
    """The one query, in however many steps."""
    return ScoringQueries(query, (query,))


def row(
    asker: Asker,
    source: FewShotSet,
    example: Example,
    asked: ScoringQueries,
    answers: Sequence[Answer],
    answer: str,
) -> dict[str, Any]:
    """The most probable token as text, and the log-probability of every option's token."""
    (found,) = answers
    options = found["chosen"][0]
    right = answer_text(example, example.right, answer)
    predicted = asker.border.decode([int(found["top_id"][0])])
    logps = {
        f"logp_{letter}": float(options[i]) if i < len(options) else None
        for i, letter in enumerate(LETTERS[:MAX_OPTIONS])
    }
    return {
        "tokens": len(asked.query.ids),
        "right": right,
        "predicted": predicted,
        "correct": correct(predicted, right),
        "logp_right": float(options[example.right]),
        **logps,
        "entropy": float(found["entropy"][0]),
        "top1_prob": math.exp(float(found["top_logprob"][0])),
    }


def correct(predicted: str, right: str) -> bool:
    """Whether a decoded token is the right answer: a match of texts, as in arXiv 2511.21338.

    Up to the first `]` and without spaces (ours), against the letter or word.
    """
    return predicted.split("]")[0].strip() == right
