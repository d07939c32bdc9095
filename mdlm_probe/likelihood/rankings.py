"""When the best of a group of estimates is sure to be the best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

SURE = 0.999
"""Probability that a ranking must have before no more is sampled for it."""


class Guess(NamedTuple):
    """A value on the way: how sure it is, and on how many degrees of freedom that stands."""

    logp: float
    se: float
    freedom: float


def is_decided(found: Sequence[Guess], weights: Sequence[float], looks: int) -> bool:
    """Whether the best of a group is the best with the probability wanted, in every ranking.

    Each rival and each look has its share of the error, so that together they keep to it.
    """
    if len(found) < 2:
        return False
    share = (1 - SURE) / (len(found) - 1) / looks
    for own in [[1.0] * len(found)] + ([weights] if weights else []):
        scaled = [Guess(g.logp / w, g.se / w, g.freedom) for g, w in zip(found, own, strict=True)]
        best = scaled.pop(max(range(len(scaled)), key=lambda i: scaled[i].logp))
        if not all(_chance_of_error(best, rival) < share for rival in scaled):
            return False
    return True


def _chance_of_error(best: Guess, rival: Guess) -> float:
    """How probable it is that of two equal items one seems this much better: Welch's test.

    A t interval, not a normal one: after a first round a handful of pairs tell the standard error,
    and where it happens to come out small a normal test is wrong ten times as often as it says.
    """
    from mdlm_probe.analysis import stats

    errors, freedoms = (best.se, rival.se), (best.freedom, rival.freedom)
    return stats.welch(best.logp - rival.logp, errors, freedoms)
