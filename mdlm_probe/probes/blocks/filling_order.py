"""How an answer of the blocks probe came about: in which order, after how many passes."""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING, Any

from mdlm_probe.decoding import text_metrics
from mdlm_probe.decoding.answers import Answer

if TYPE_CHECKING:
    from mdlm_probe.models._checkpoint import Checkpoint


def filling_columns(answer: Answer, entry: Checkpoint) -> dict[str, Any]:
    """The columns on how an answer came about; None or NaN where there is nothing to measure.

    - `confidence`: geometric mean of its tokens' probabilities when they were committed.
    - `passes` through the network, `decided` of them before the answer was whole, `canvas_tokens`
      that went through in all of them.
    - `tau` of all masks, `answer_tau` of the answer's own; `per_step`: masks that a step committed,
      on average.
    - `end_first`: the share of the answer's tokens that were committed after the end of text behind
      them: 0 from left to right, 1 where its length was settled before its first token. Ours.
    - `tail_eos_first`: of the ends of text that the canvas ends in, those of step 1.
    - `unmasked`: the step of every mask, 0 where it was left.
    """
    decoded, size = answer.decoded, len(answer.ids)
    steps, own = decoded.steps, decoded.steps[:size]
    tail = len(steps)
    while tail and decoded.tokens[tail - 1] in entry.eos_ids:
        tail -= 1
    return {
        "confidence": math.exp(fmean(decoded.logprobs[:size])) if size else None,
        "passes": decoded.passes,
        "decided": decoded.decided,
        "canvas_tokens": decoded.network_tokens,
        "tau": text_metrics.tau(steps),
        "answer_tau": text_metrics.tau(own),
        "per_step": (len(steps) - steps.count(0)) / max(steps),
        "end_first": fmean(s > steps[size] for s in own) if answer.ended and size else None,
        "tail_eos_first": fmean(s == 1 for s in steps[tail:]) if steps[tail:] else None,
        "unmasked": " ".join(map(str, steps)),
    }
