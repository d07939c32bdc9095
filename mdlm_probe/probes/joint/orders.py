"""Orders: texts scored, and written, one token after another in some order.

Scoring by the chain rule in different orders: arXiv 2606.00997. Ours: confidence as an order of a
known text, and what a text that parallel steps wrote is scored by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mdlm_probe.core import options
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.decoding.canvas_of_prompt import appended, continuation_ids
from mdlm_probe.decoding.loop import decode
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine.multi_step import MultiStep
from mdlm_probe.likelihood.chain_rule import Order, guess, score, sequence

if TYPE_CHECKING:
    from mdlm_probe.engine.queries import Asker
    from mdlm_probe.models._checkpoint import Checkpoint
    from mdlm_probe.prompts.prompt import Text

BUDGET = (1, 2, 4, 8, 16, 32)
DIGITS = 4
"""Of a step's confidence, in a list of many."""


# ---------------------------------------------------------------------- canvases


def check_continued(texts: Sequence[Text]) -> None:
    """Refuses texts without a continuation.

    Raises:
        ProbeError: naming the first.
    """
    lacking = [text.id for text in texts if not text.continuation.strip()]
    if lacking:
        raise ProbeError(
            f"{len(lacking)} prompts have no continuation, such as '{lacking[0]}'",
            expected="text to score or to make holes in, as the field 'continuation'",
            hint="--measure pairs,sets,budget needs none, with --canvas appended, --outcome top",
        )


# ---------------------------------------------------------------------- orders


def names(order: Order, draws: int) -> list[str]:
    """An order by its name; "random" is that many orders, "random-1" and so on."""
    return [f"random-{n + 1}" for n in range(draws)] if order == "random" else [order]


def order_settings(
    length: int, orders: tuple[Order, ...], draws: int, seed: int
) -> list[dict[str, Any]]:
    """What the cells of one text have of these options: an order each.

    Raises:
        ProbeError: naming an option.
    """
    options.check_least(1, length=length)
    options.check_least(0, random=draws)
    options.check_once(orders=orders)
    named = [name for order in orders for name in names(order, draws)]
    return [{"masks": length, "reveal_order": name, "seed": seed} for name in named]


# ---------------------------------------------------------------------- the chain rule


def rescore(
    asker: Asker, text: Text, length: int, order: str, seed: int, name: str
) -> MultiStep[list[dict[str, Any]]]:
    """The log-likelihood of a text's own continuation in an order: `logp` of `length` tokens.

    And at each step the largest probability, and whether the text's token has it.
    """
    tokens = continuation_ids(asker, text, length)
    canvas = appended(asker, text, len(tokens), name)
    known = None if order == "low_confidence" else sequence(order, len(tokens), seed)
    found = yield from guess(canvas, tokens, known)
    return [
        {
            "text_tokens": len(tokens),
            "logp": float(found.logps.sum()),
            "confidences": [float(f"{share:.{DIGITS}g}") for share in found.confidences],
            "matches": found.hits.astype(int).tolist(),
        }
    ]


# ---------------------------------------------------------------------- several at once


def budget_settings(length: int, budget: tuple[int, ...], eps: float) -> list[dict[str, Any]]:
    """What the cells of one text have of these options: masks per step, 1 among them.

    Raises:
        ProbeError: naming an option.
    """
    options.check_least(1, length=length)
    options.check_positive(budget_eps=eps)
    steps = {1, *options.fitting("budget", budget, BUDGET, length, "length")}
    return [{"masks": length, "at_once": n, "budget_eps": eps} for n in sorted(steps)]


def write(canvas: Canvas, at_once: int, entry: Checkpoint) -> MultiStep[dict[str, Any]]:
    """Fills in the window greedily, so many places in a step, and scores what came out.

    A step commits the places whose most probable token is most probable (the leftmost among equals)
    and writes that token; the last one what is left. The text is then scored by the chain rule, one
    token a pass, in the order of the commits: by step, within a step the more confident first. With
    one place per step the two are the same.

    Returns:
        `written`: the tokens, left to right; `text_tokens` and `steps`: how many;
        `logp`: their log-likelihood one at a time, the sequential joint;
        `logp_steps`: as the steps themselves saw it, a product of marginals within each.
    """
    made = yield from decode(canvas, Schedule(at_once=at_once, stop=False), entry)
    order = sorted(range(len(made.steps)), key=lambda i: (made.steps[i], -made.confidences[i]))
    logps = yield from score(canvas, made.tokens, order)
    return {
        "text_tokens": len(made.tokens),
        "logp": float(logps.sum()),
        "logp_steps": math.fsum(made.logprobs),
        "steps": made.passes,
        "written": made.tokens,
    }


def rewrite(
    asker: Asker, text: Text, length: int, at_once: int, name: str
) -> MultiStep[list[dict[str, Any]]]:
    """What `write` makes of masks after a prompt."""
    return [(yield from write(appended(asker, text, length, name), at_once, asker.entry))]
