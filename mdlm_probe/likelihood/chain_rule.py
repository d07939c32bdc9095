"""Log-likelihoods by the chain rule: the tokens of a window one by one, in an order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.engine.multi_step import MultiStep
from mdlm_probe.engine.queries import Answer, Readout

Order = Literal["left_to_right", "right_to_left", "low_confidence", "random"]


def sequence(name: str, length: int, seed: int) -> list[int]:
    """The numbers 0..length-1 in an order that is known beforehand; confidence isn't."""
    numbers = list(range(length))
    if name == "right_to_left":
        return numbers[::-1]
    return random.Random(seed).sample(numbers, length) if name.startswith("random") else numbers


class Guesses(NamedTuple):
    """What a model would have written at each step, beside the text's own token.

    Attributes:
        logps: of the text's tokens, in nats, [steps].
        confidences: the largest probability, [steps].
        hits: whether the most probable token is the text's, [steps].
    """

    logps: Float[np.ndarray, " steps"]
    confidences: Float[np.ndarray, " steps"]
    hits: Bool[np.ndarray, " steps"]


TOP = (Readout("top_logprob"), Readout("top_id"))


def score(canvas: Canvas, tokens: Sequence[int], order: Sequence[int]) -> MultiStep[np.ndarray]:
    """Log-probabilities of the window's tokens, each given those before it in the order, in nats.

    Args:
        canvas: what they are given besides.
        tokens: of the window, left to right.
        order: numbers in the window, 0 its leftmost; the window's other places stay masks.

    Returns:
        By step, [steps]: their sum is the log-likelihood of the tokens by the chain rule.
    """
    read = yield from _in_order(canvas, tokens, order, ())
    return np.array([step.logp for step in read])


def score_by_confidence(canvas: Canvas, tokens: Sequence[int]) -> MultiStep[np.ndarray]:
    """As `score`, in the order of confidence: the next place is that whose largest probability is.

    The leftmost among equals. What is written there is the text's token, not the most probable.
    """
    read = yield from _by_confidence(canvas, tokens, TOP[:1])
    return np.array([step.logp for step in read])


def guess(canvas: Canvas, tokens: Sequence[int], order: Sequence[int] | None) -> MultiStep[Guesses]:
    """As `score`, and by confidence where there is no order: also what was most probable."""
    if order is None:
        read = yield from _by_confidence(canvas, tokens, TOP)
    else:
        read = yield from _in_order(canvas, tokens, order, TOP)
    tops = [[float(step.answer[top][step.row]) for top in TOP] for step in read]
    return Guesses(
        np.array([step.logp for step in read]),
        np.exp([logp for logp, _ in tops]),
        np.array([top == step.token for (_, top), step in zip(tops, read, strict=True)]),
    )


class _Step(NamedTuple):
    """A token of the text, its log-probability, and where in an answer that was read."""

    token: int
    logp: float
    answer: Answer
    row: int


def _in_order(
    canvas: Canvas, tokens: Sequence[int], order: Sequence[int], more: tuple[Readout, ...]
) -> MultiStep[list[_Step]]:
    wanted = tuple(dict.fromkeys(tokens))
    chosen = Readout("chosen", wanted)
    answers = yield [
        canvas.query({i: tokens[i] for i in order[:step]}, (number,), (chosen, *more))
        for step, number in enumerate(order)
    ]
    return [
        _Step(tokens[at], float(answer[chosen][0, wanted.index(tokens[at])]), answer, 0)
        for answer, at in zip(answers, order, strict=True)
    ]


def _by_confidence(
    canvas: Canvas, tokens: Sequence[int], more: tuple[Readout, ...]
) -> MultiStep[list[_Step]]:
    wanted = tuple(dict.fromkeys(tokens))
    readouts = (more[0], Readout("chosen", wanted), *more[1:])
    seen: dict[int, int] = {}
    found = []
    while left := [i for i in range(len(tokens)) if i not in seen]:
        (answer,) = yield [canvas.query(seen, left, readouts)]
        row = int(np.argmax(answer["top_logprob"]))
        token = tokens[left[row]]
        logp = float(answer["chosen"][row, wanted.index(token)])
        found.append(_Step(token, logp, answer, row))
        seen[left[row]] = token
    return found
