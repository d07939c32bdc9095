"""Chains: texts scored, and written, one token after another in some order.

Scoring by the chain rule in different orders: arXiv 2606.00997. Ours: confidence as an order of a
known text, and what a text that parallel steps wrote is scored by.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mdlm_probe import spans
from mdlm_probe.canvases import Canvas
from mdlm_probe.courses import Course
from mdlm_probe.decoding import decode
from mdlm_probe.errors import ProbeError
from mdlm_probe.few_shot import check as check_none_below_0
from mdlm_probe.few_shot import check_once
from mdlm_probe.queries import Query, Readout
from mdlm_probe.schedules import Schedule

if TYPE_CHECKING:
    from mdlm_probe.few_shot import Asker
    from mdlm_probe.models._base import Entry
    from mdlm_probe.texts import Text

Order = Literal["left_to_right", "right_to_left", "low_confidence", "random"]
BUDGET = (1, 2, 4, 8, 16, 32)


# ---------------------------------------------------------------------- canvases


def continuation_ids(asker: Asker, text: Text, length: int) -> tuple[int, ...]:
    """The first token ids of a text's own continuation, at most `length`.

    Raises:
        ProbeError: it has fewer than two: no order, and no pair.
    """
    border = asker.border
    before, both = border.encode(text.prompt), border.encode(text.prompt + text.continuation)
    # where the two run together, the continuation's own tokens are the nearest there is
    joined = not asker.entry.chat and both[: len(before)] == before
    found = both[len(before) :] if joined else border.pieces(text.continuation)
    if len(found) < 2:
        raise ProbeError(
            f"the continuation of prompt '{text.id}' has {len(found)} token(s)",
            expected="2 or more",
            hint="--measure sets,budget needs no continuation",
        )
    return tuple(found[:length])


def appended(asker: Asker, text: Text, masks: int, name: str) -> Canvas:
    """A prompt with masks after it: see `spans.span`.

    Raises:
        ProbeError: more than the context holds.
    """
    found = spans.span(asker, text, masks, "left")
    return Canvas(found.ids, found.places, name)


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


def check(**given: float | Sequence[int]) -> None:
    """Refuses numbers that are no positive ones, by the option's name.

    Raises:
        ProbeError: naming the option.
    """
    for name, value in given.items():
        values = value if isinstance(value, tuple) else (value,)
        for bad in (v for v in values if not (v > 0 and math.isfinite(v))):
            least = "more than 0" if isinstance(bad, float) else "1 or more"
            raise ProbeError(f"--{name.replace('_', '-')} has {bad}", expected=least)


def fitting(
    name: str, given: tuple[int, ...], usual: tuple[int, ...], flag: str, most: int
) -> list[int]:
    """The numbers of an option, sorted: those a user gave, or as many of the usual ones as fit.

    Args:
        name: the option's.
        given: by the user; () for the usual ones.
        usual: positive, each once.
        flag: the option that leaves room for numbers of at most `most`.

    Raises:
        ProbeError: a given number that is below 1 or beyond `most`, or stands twice.
    """
    check(**{name: given})
    check_once(**{name: given})
    if max(given, default=0) > most:
        raise ProbeError(f"--{name} has {max(given)}", expected=f"at most {most}, as {flag} leaves")
    return sorted(given or (number for number in usual if number <= most))


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
    check(length=length)
    check_none_below_0(random=draws)
    check_once(orders=orders)
    named = [name for order in orders for name in names(order, draws)]
    return [{"masks": length, "order": name, "seed": seed} for name in named]


def sequence(name: str, length: int, seed: int) -> list[int]:
    """The numbers 0..length-1 in an order that is known beforehand; confidence isn't."""
    numbers = list(range(length))
    if name == "right_to_left":
        return numbers[::-1]
    return random.Random(seed).sample(numbers, length) if name.startswith("random") else numbers


# ---------------------------------------------------------------------- the chain rule


def score(canvas: Canvas, tokens: Sequence[int], order: Sequence[int]) -> Course[np.ndarray]:
    """Log-probabilities of the window's tokens, each given those before it in the order, in nats.

    Args:
        canvas: what they are given besides.
        tokens: of the window, left to right.
        order: numbers in the window, 0 its leftmost; the window's other places stay masks.

    Returns:
        By step, [steps]: their sum is the log-likelihood of the tokens by the chain rule.
    """
    wanted = tuple(dict.fromkeys(tokens))
    readouts = (Readout("chosen", wanted),)
    queries = [
        Query(
            canvas.filled({i: tokens[i] for i in order[:step]}),
            (canvas.places[number],),
            readouts,
            canvas.name,
        )
        for step, number in enumerate(order)
    ]
    answers = yield queries
    return np.array(
        [
            float(answer[0][0, wanted.index(tokens[number])])
            for answer, number in zip(answers, order, strict=True)
        ]
    )


def score_by_confidence(canvas: Canvas, tokens: Sequence[int]) -> Course[np.ndarray]:
    """As `score`, in the order of confidence: the next place is that whose largest probability is.

    The leftmost among equals. What is written there is the text's token, not the most probable.
    """
    wanted = tuple(dict.fromkeys(tokens))
    readouts = (Readout("top_logprob"), Readout("chosen", wanted))
    seen: dict[int, int] = {}
    found = []
    while left := [i for i in range(len(tokens)) if i not in seen]:
        places = tuple(canvas.places[i] for i in left)
        ((confidence, chosen),) = yield [Query(canvas.filled(seen), places, readouts, canvas.name)]
        at = int(np.argmax(confidence))
        found.append(float(chosen[at, wanted.index(tokens[left[at]])]))
        seen[left[at]] = tokens[left[at]]
    return np.array(found)


def rescore(
    asker: Asker, text: Text, length: int, order: str, seed: int, name: str
) -> Course[list[dict[str, Any]]]:
    """The log-likelihood of a text's own continuation in an order: `logp` of `length` tokens."""
    tokens = continuation_ids(asker, text, length)
    canvas = appended(asker, text, len(tokens), name)
    if order == "low_confidence":
        logps = yield from score_by_confidence(canvas, tokens)
    else:
        logps = yield from score(canvas, tokens, sequence(order, len(tokens), seed))
    return [{"length": len(tokens), "logp": float(logps.sum())}]


# ---------------------------------------------------------------------- several at once


def budget_settings(length: int, budget: tuple[int, ...], eps: float) -> list[dict[str, Any]]:
    """What the cells of one text have of these options: masks a step each, one among them.

    Raises:
        ProbeError: naming an option.
    """
    check(length=length, budget_eps=eps)
    steps = {1, *fitting("budget", budget, BUDGET, "--length", length)}
    return [{"masks": length, "at_once": n, "eps": eps} for n in sorted(steps)]


def write(canvas: Canvas, at_once: int, entry: Entry) -> Course[dict[str, Any]]:
    """Fills in the window greedily, so many places in a step, and scores what came out.

    A step commits the places whose most probable token is most probable (the leftmost among equals)
    and writes that token; the last one what is left. The text is then scored by the chain rule, one
    token a pass, in the order of the commits: by step, within a step the more confident first. With
    one place a step the two are the same.

    Returns:
        `written`: the tokens, left to right; `length` and `steps`: how many;
        `logp`: their log-likelihood one at a time, the sequential joint;
        `logp_steps`: as the steps themselves saw it, a product of marginals within each.
    """
    made = yield from decode(canvas, Schedule(at_once=at_once, stop=False), entry)
    order = sorted(range(len(made.steps)), key=lambda i: (made.steps[i], -made.confidences[i]))
    logps = yield from score(canvas, made.tokens, order)
    return {
        "length": len(made.tokens),
        "logp": float(logps.sum()),
        "logp_steps": math.fsum(made.logprobs),
        "steps": made.passes,
        "written": made.tokens,
    }


def rewrite(
    asker: Asker, text: Text, length: int, at_once: int, name: str
) -> Course[list[dict[str, Any]]]:
    """What `write` makes of masks after a prompt."""
    return [(yield from write(appended(asker, text, length, name), at_once, asker.entry))]
