"""Draws: which tokens of a continuation are masked together, and what an estimate makes of it.

No torch. See `likelihood` for what is estimated, and for the sources.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from mdlm_probe.cells import seed as seed_of

LEAST = 4
"""Units of a stratum, if all draws are made: fewer say too little about its spread."""


class Draw(NamedTuple):
    """Tokens to be masked together.

    Attributes:
        places: in the continuation, from 0, ascending; none where no token happens to be masked.
        weight: what the sum of their log-probabilities is multiplied by.
    """

    places: tuple[int, ...]
    weight: float


Unit = tuple[Draw, ...]
"""Draws that make one observation together: their sum."""


@dataclass
class Stratum:
    """Observations of one kind.

    Attributes:
        weight: with which their mean is added to the estimate.
        make: a new observation's draws.
        values: observations so far.
    """

    weight: float
    make: Callable[[], Unit]
    values: list[float] = field(default_factory=list)


@dataclass
class Drawn:
    """The draws of one item, and what they gave so far.

    Attributes:
        name: of the estimator.
        fixed: draws that are no sample: made first, and added up.
        strata: the samples; none where all that there is to draw is `fixed`.
        size: draws of a unit.
    """

    name: str
    fixed: list[Draw]
    strata: list[Stratum]
    size: int
    passes: int = 0
    _base: float | None = None
    _asked: list[tuple[Stratum, Unit]] = field(default_factory=list)
    _given: list[int] = field(default_factory=list)

    def more(self, passes: int) -> list[Draw]:
        """The next draws, so that all made so far are `passes` at most."""
        new = list(self.fixed) if self._base is None else []
        self._asked = []
        self._given = self._given or [0] * len(self.strata)
        units = (passes - len(self.fixed)) // self.size - sum(self._given)
        for _ in range(units if self.strata else 0):
            at = self._next()
            self._given[at] += 1
            self._asked.append((self.strata[at], self.strata[at].make()))
        return new + [draw for _, unit in self._asked for draw in unit]

    def _next(self) -> int:
        """The stratum that lags most behind its share; two observations each come first."""
        shares = [s.weight / (n + 0.5) for s, n in zip(self.strata, self._given, strict=True)]
        least = min(self._given)
        behind = [i for i, n in enumerate(self._given) if n == least] if least < 2 else None
        return max(behind or range(len(shares)), key=shares.__getitem__)

    def add(self, values: Sequence[float]) -> None:
        """The values of the draws that `more` gave last, weighted sums, in their order."""
        left = list(values)
        self.passes += len(left)
        if self._base is None:
            self._base = math.fsum(left[: len(self.fixed)])
            left = left[len(self.fixed) :]
        for stratum, unit in self._asked:
            stratum.values.append(math.fsum(left[: len(unit)]))
            left = left[len(unit) :]

    def result(self) -> tuple[float, float]:
        """The estimate and its standard error, in nats; infinite while a stratum has no spread yet.

        A stratum without observations counts as one like all others together.
        """
        total, variance = self._base or 0.0, 0.0
        known = [value for stratum in self.strata for value in stratum.values]
        for stratum in self.strata:
            values = stratum.values or known
            total += stratum.weight * float(np.mean(values))
            spread = np.var(values, ddof=1) / len(values) if len(stratum.values) > 1 else math.inf
            variance += stratum.weight**2 * spread
        return total, math.sqrt(variance)


def complements(length: int, passes: int, seed: int, first: int = 0) -> Drawn:
    """LLaDA's bound, by pairs of sets and their complements.

    Args:
        length: tokens of the continuation.
        passes: draws that will be made at most. If they are enough for all sets, all are made.
        seed: of the sets.
        first: draws of a first round that must tell a standard error; 0: there is one round.
    """
    if 2 ** min(length, 64) - 1 <= passes:
        return Drawn("mc", _all_sets(length), [], 1)
    whole = Draw(tuple(range(length)), 1 / length)
    pairs = (passes - 1) // 2
    counts = np.arange(1, length // 2 + 1)
    shares = np.where(2 * counts < length, 2.0, 1.0) / (length - 1)
    wanted = min(pairs // LEAST, (first - 1) // 4 if first else pairs)
    parts = np.array_split(np.arange(len(counts)), max(1, min(len(counts), wanted)))
    strata = [
        Stratum(
            float(shares[part].sum()),
            _pairs(length, counts[part].tolist(), shares[part].tolist(), seed_of(seed, number)),
        )
        for number, part in enumerate(parts)
    ]
    return Drawn("mc", [whole], strata, 2)


def _all_sets(length: int) -> list[Draw]:
    """Every set of tokens, with the weight that it has in the bound."""
    return [
        Draw(places, 1 / (count * math.comb(length, count)))
        for count in range(1, length + 1)
        for places in itertools.combinations(range(length), count)
    ]


def _pairs(
    length: int, counts: Sequence[int], shares: Sequence[float], seed: int
) -> Callable[[], Unit]:
    """Makes a random set of one of these counts, and its complement."""
    rng, half = random.Random(seed), (length - 1) / 2

    def make() -> Unit:
        (count,) = rng.choices(counts, shares)
        chosen = set(rng.sample(range(length), count))
        other = tuple(place for place in range(length) if place not in chosen)
        return (
            Draw(tuple(sorted(chosen)), half / count),
            Draw(other, half / (length - count)),
        )

    return make


def bernoulli(length: int, passes: int, seed: int, first: int = 0) -> Drawn:
    """Dream's estimator: every token masked with probability t, and the sum divided by t."""
    rng = random.Random(seed)

    def make() -> Unit:
        share = 1 - rng.random()  # never 0
        places = tuple(place for place in range(length) if rng.random() < share)
        return (Draw(places, 1 / share),)

    return Drawn("bernoulli", [], [Stratum(1.0, make)], 1)
