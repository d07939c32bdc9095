"""Log-likelihoods by the chain rule: the tokens of a window one by one, in an order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

import numpy as np

from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.engine.multi_step import MultiStep
from mdlm_probe.engine.queries import Readout

Order = Literal["left_to_right", "right_to_left", "low_confidence", "random"]


def sequence(name: str, length: int, seed: int) -> list[int]:
    """The numbers 0..length-1 in an order that is known beforehand; confidence isn't."""
    numbers = list(range(length))
    if name == "right_to_left":
        return numbers[::-1]
    return random.Random(seed).sample(numbers, length) if name.startswith("random") else numbers


def score(canvas: Canvas, tokens: Sequence[int], order: Sequence[int]) -> MultiStep[np.ndarray]:
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
        canvas.query({i: tokens[i] for i in order[:step]}, (number,), readouts)
        for step, number in enumerate(order)
    ]
    answers = yield queries
    return np.array(
        [
            float(answer["chosen"][0, wanted.index(tokens[number])])
            for answer, number in zip(answers, order, strict=True)
        ]
    )


def score_by_confidence(canvas: Canvas, tokens: Sequence[int]) -> MultiStep[np.ndarray]:
    """As `score`, in the order of confidence: the next place is that whose largest probability is.

    The leftmost among equals. What is written there is the text's token, not the most probable.
    """
    wanted = tuple(dict.fromkeys(tokens))
    readouts = (Readout("top_logprob"), Readout("chosen", wanted))
    seen: dict[int, int] = {}
    found = []
    while left := [i for i in range(len(tokens)) if i not in seen]:
        (answer,) = yield [canvas.query(seen, left, readouts)]
        at = int(np.argmax(answer["top_logprob"]))
        found.append(float(answer["chosen"][at, wanted.index(tokens[left[at]])]))
        seen[left[at]] = tokens[left[at]]
    return np.array(found)
