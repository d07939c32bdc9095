"""Zipf's law fitted to next-token distributions: the exponent of the law that is nearest to them.

Of all laws z(k) = k^-s / sum of j^-s over ranks j = 1..N, the one with the least divergence
KL(p, z) from a ranked distribution p is that whose mean logarithm of the rank is p's; of several,
the mean of theirs: the likelihood's equation. A law is found by its own distribution, exactly.
Source: ours; arXiv 2510.03289 states s = 2.31, not how it was fitted.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

MOST = 60.0
"""Exponents stop here: rank 2 has less than what float32 can tell from none."""


class RankedTokens(NamedTuple):
    """What a law is fitted by.

    Attributes:
        log_rank: mean logarithm of the rank.
        entropy: in nats.
        support: tokens with any probability.
    """

    log_rank: float
    entropy: float
    support: int


def ranked(probs: np.ndarray) -> RankedTokens:
    """A distribution by its ranks.

    Args:
        probs: [vocabulary], in any order.
    """
    some = np.asarray(probs, dtype=float)
    found = np.sort(some[some > 0])[::-1]
    found = found / found.sum()
    entropy = -float(found @ np.log(found))
    return RankedTokens(float(found @ _log_ranks(len(found))), entropy, len(found))


def exponent(log_rank: float, support: int) -> float:
    """The law of so many ranks with this mean logarithm of the rank; from 0 (even) to `MOST`."""
    logs = _log_ranks(support)

    def gap(s: float) -> float:
        weights = np.exp(-s * logs)
        return float(weights @ logs / weights.sum()) - log_rank

    if not gap(0.0) > 0:
        return 0.0
    return MOST if gap(MOST) >= 0 else float(brentq(gap, 0.0, MOST, xtol=1e-10))


def misfit(found: RankedTokens, s: float) -> float:
    """KL divergence (nats) from the law of exponent s; of means, the mean divergence."""
    scale = float(np.log(np.exp(-s * _log_ranks(found.support)).sum()))
    return max(0.0, s * found.log_rank + scale - found.entropy)


@lru_cache(maxsize=4)
def _log_ranks(count: int) -> np.ndarray:
    logs: np.ndarray = np.log(np.arange(1, count + 1, dtype=float))
    return logs
