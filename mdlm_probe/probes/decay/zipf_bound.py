"""How fast marginals must flatten with distance if next tokens are Zipfian: ours, with its proof.

Setting. Every context c has the same next-token probabilities z(1) >= z(2) >= ..., Zipf's law
z(k) = k^-s / sum of j^-s over ranks j = 1..N, but an order of its own: which token has which rank
is drawn for each context independently. Every path of tokens is a context (nothing is forgotten),
and a token v has on average, over the drawing, its unigram probability u(v). Let q(d, v) be the
marginal probability of v at distance d: over all paths y of d - 1 tokens, the mean of p(v | y) with
the paths' weights w(y). A path is d - 1 ranks, w(y) is the product of their z, and so the weights
don't depend on the drawing. Let p1 = z(1) and S = sum of z(k)^2; p1^2 <= S <= p1.

What is bounded: the expected largest marginal E[max_v q(d, v)], expectation over the drawing.

    p1^d <= E[max_v q(d, v)] <= S^(d/2) + floor,    floor = max_v u(v)

Upper end. q(d, v) - u(v) = sum of w(y) (p(v | y) - u(v)): independent terms of mean zero. So
E sum_v (q(d, v) - u(v))^2 = sum of w(y)^2 times E sum_v (p(v | y) - u(v))^2 = S^(d-1) (S - sum_v
u(v)^2) <= S^d. A largest entry is at most the root of the sum of squares, and the root's mean at
most the mean's root (Jensen): E max_v (q - u) <= S^(d/2), and max q <= max u + max (q - u). Near
the text it pays to set apart the path that takes the most probable token each time: its weight is
p1^(d-1), its largest entry p1^d, and the same argument for all others leaves at most

    p1^d + (1 - p1^(d-1)) floor + sqrt(S^d - p1^(2d-2) S),

which is p1 at distance 1. `bound` is the smaller of the two.

Lower end. That greedy path gives p1^d to one token. All others together weigh 1 - p1^(d-1) and add
on average at most `floor` times that: the *greedy token* alone has on average at most p1^d +
(1 - p1^(d-1)) floor, less than p1^d + floor; exactly that where u is even. It is no bound of the
largest marginal: other paths meet by chance. The two are close, sqrt(S) being little above p1.

Where the setting fails: contexts that share their order (a language that forgets) need not flatten
like this, they mix at a rate of their own; a sharper z decays later. With s = 2.31 and N = 130000
(arXiv 2510.03289): p1 = .7007, sqrt(S) = .7176.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import numpy as np

from mdlm_probe.core import options

EXPONENT, RANKS = 2.31, 130_000
"""Next-token probabilities of language models, as arXiv 2510.03289 states them."""

ExponentOption = Annotated[float, "exponent s of the bound's Zipfian next tokens"]
RanksOption = Annotated[int, "number N of their ranks"]
FloorOption = Annotated[
    float | None, "what the bound falls to; default: the largest probability of the model's far end"
]


def check(exponent: float, ranks: int, floor: float | None) -> None:
    """Refuses a law, or a floor, that there is none of.

    Raises:
        ProbeError: naming the option.
    """
    options.check_least(0, zipf_exponent=exponent)
    if exponent >= 100:
        raise options.wrong("zipf_exponent", exponent, "less than 100")
    options.check_least(2, zipf_ranks=ranks)
    options.check_range(2, 10**7, "at most ten million", zipf_ranks=ranks)
    options.check_range(0, 1, "a probability, 0 to 1", floor=floor or 0)


@lru_cache(maxsize=16)
def moments(exponent: float, ranks: int) -> tuple[float, float]:
    """The largest probability of Zipf's law over ranks 1..ranks, and its sum of squares."""
    weights = np.arange(1, ranks + 1, dtype=float) ** -exponent
    shares = weights / weights.sum()
    return float(shares[0]), float((shares**2).sum())


def bound(distance: np.ndarray, floor: float, exponent: float, ranks: int) -> np.ndarray:
    """Most that the expected largest marginal can be at a distance, at most 1.

    Args:
        distance: d of 1 and more; any shape.
        floor: the largest unigram probability.
        exponent, ranks: s and N.
    """
    largest, squares = moments(exponent, ranks)
    steps = np.asarray(distance)
    others = squares**steps - largest ** (2 * steps - 2) * squares
    apart = greedy(steps, floor, exponent, ranks) + np.sqrt(np.maximum(others, 0.0))
    most: np.ndarray = np.minimum(1.0, np.minimum(squares ** (steps / 2) + floor, apart))
    return most


def greedy(distance: np.ndarray, floor: float, exponent: float, ranks: int) -> np.ndarray:
    """Most that the expected marginal of the greedy path's token can be, at most 1.

    p1^d + (1 - p1^(d-1)) floor; with a floor of 0, least that the expected largest marginal can be.
    """
    largest, _ = moments(exponent, ranks)
    steps = np.asarray(distance)
    return np.minimum(1.0, largest**steps + (1 - largest ** (steps - 1)) * floor)
