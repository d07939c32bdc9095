"""Mask sets: tokens of a continuation that are masked together, and the estimate they make.

No torch. See `estimators` for what is estimated, and for the sources.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from mdlm_probe.core.cells import seed as seed_of

LEAST = 12
"""Units of a stratum in the first round: fewer say too little about its spread."""


class MaskSet(NamedTuple):
    """Tokens to be masked together.

    Attributes:
        places: in the continuation, from 0, ascending; none where no token happens to be masked.
        weight: what the sum of their log-probabilities is multiplied by.
    """

    places: tuple[int, ...]
    weight: float


Unit = tuple[MaskSet, ...]
"""Mask sets that make one observation together: their sum."""


@dataclass
class Stratum:
    """Observations of one kind.

    Attributes:
        weight: with which their mean is added to the estimate.
        make: a new observation's mask sets.
        values: observations so far.
    """

    weight: float
    make: Callable[[], Unit]
    values: list[float] = field(default_factory=list)


@dataclass
class MaskSetSample:
    """The mask sets of one item, and what they gave so far.

    Attributes:
        name: of the estimator.
        fixed: mask sets that are no sample: scored first, and added up.
        strata: the samples; none where all that there is to draw is `fixed`.
        size: mask sets of a unit.
    """

    name: str
    fixed: list[MaskSet]
    strata: list[Stratum]
    size: int
    passes: int = 0
    _base: float | None = None
    _asked: list[tuple[Stratum, Unit]] = field(default_factory=list)
    _given: list[int] = field(default_factory=list)

    @property
    def is_begun(self) -> bool:
        """Whether what is no sample was scored."""
        return self._base is not None

    def more(self, passes: int) -> list[MaskSet]:
        """The next mask sets, so that all so far take `passes` at most."""
        new = list(self.fixed) if self._base is None else []
        self._asked = []
        self._given = self._given or [0] * len(self.strata)
        units = (passes - len(self.fixed)) // self.size - sum(self._given)
        for _ in range(units if self.strata else 0):
            at = self._next()
            self._given[at] += 1
            self._asked.append((self.strata[at], self.strata[at].make()))
        return new + [one for _, unit in self._asked for one in unit]

    def _next(self) -> int:
        """The stratum that lags most behind its share."""
        shares = [s.weight / (n + 0.5) for s, n in zip(self.strata, self._given, strict=True)]
        return max(range(len(shares)), key=shares.__getitem__)

    def add(self, values: Sequence[float]) -> None:
        """The values of the mask sets that `more` gave last, weighted sums, in their order."""
        left = list(values)
        if self._base is None:
            self.passes = len(self.fixed)
            self._base = math.fsum(left[: len(self.fixed)])
            left = left[len(self.fixed) :]
        for stratum, unit in self._asked:
            self.passes += sum(1 for one in unit if one.places)
            stratum.values.append(math.fsum(left[: len(unit)]))
            left = left[len(unit) :]

    def result(self) -> tuple[float, float]:
        """The estimate and its standard error, in nats: the square of the latter is unbiased."""
        total = (self._base or 0.0) + math.fsum(
            s.weight * float(np.mean(s.values)) for s in self.strata
        )
        return total, math.sqrt(math.fsum(self._variances()))

    def freedom(self) -> float:
        """Degrees of freedom of the standard error; see `freedom`."""
        return freedom(self.spread())

    def spread(self) -> list[tuple[float, int]]:
        """What every stratum adds to the variance, on how many degrees of freedom."""
        own = zip(self._variances(), self.strata, strict=True)
        return [(variance, len(s.values) - 1) for variance, s in own]

    def _variances(self) -> list[float]:
        """What every stratum adds to the estimate's variance; inf where it has no spread yet."""
        return [
            s.weight**2 * float(np.var(s.values, ddof=1)) / n
            if (n := len(s.values)) > 1
            else math.inf
            for s in self.strata
        ]


@dataclass
class SampleOfParts:
    """Mask sets of the parts of an item, whose values add up.

    Attributes:
        parts: of each part, drawn independently of the others'.
        read: sum of the log-probabilities that were read without masks.
    """

    parts: list[MaskSetSample]
    read: float = 0.0

    @property
    def name(self) -> str:
        """Of the estimator."""
        return self.parts[0].name

    @property
    def passes(self) -> int:
        """Mask sets that were scored."""
        return sum(part.passes for part in self.parts)

    @property
    def is_sample(self) -> bool:
        """Whether anything is drawn."""
        return any(part.strata for part in self.parts)

    def result(self) -> tuple[float, float]:
        """The estimate and its standard error, in nats."""
        found = [part.result() for part in self.parts]
        logp = self.read + math.fsum(logp for logp, _ in found)
        return logp, math.hypot(*(se for _, se in found))

    def freedom(self) -> float:
        """Degrees of freedom of the standard error; see `freedom`."""
        return freedom([own for part in self.parts for own in part.spread()])


def freedom(spread: Sequence[tuple[float, int]]) -> float:
    """Degrees of freedom of a sum of variances, by Welch and Satterthwaite; inf if it is 0.

    So it is a t interval: few observations tell little about their own spread.
    """
    rough = math.fsum(own**2 / count for own, count in spread if own)
    return math.fsum(own for own, _ in spread) ** 2 / rough if rough else math.inf


def complements(length: int, passes: int, seed: int, first: int = 0) -> MaskSetSample:
    """LLaDA's bound, by pairs of sets and their complements.

    Args:
        length: tokens of the continuation.
        passes: mask sets to score at most. If they are enough for all there are, all are.
        seed: of the sets.
        first: mask sets of a first round that must tell a standard error; 0: there is one round.
    """
    if 2 ** min(length, 64) - 1 <= passes:
        return MaskSetSample("mc", _all_sets(length), [], 1)
    whole = MaskSet(tuple(range(length)), 1 / length)
    counts = np.arange(1, length // 2 + 1)
    shares = np.where(2 * counts < length, 2.0, 1.0) / (length - 1)
    wanted = max(1, ((first or passes) - 1) // 2 // LEAST)
    parts = np.array_split(np.arange(len(counts)), min(len(counts), wanted))
    strata = [
        Stratum(
            float(shares[part].sum()),
            _pairs(length, counts[part].tolist(), shares[part].tolist(), seed_of(seed, number)),
        )
        for number, part in enumerate(parts)
    ]
    return MaskSetSample("mc", [whole], strata, 2)


def _all_sets(length: int) -> list[MaskSet]:
    """Every set of tokens, with the weight that it has in the bound."""
    return [
        MaskSet(places, 1 / (count * math.comb(length, count)))
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
            MaskSet(tuple(sorted(chosen)), half / count),
            MaskSet(other, half / (length - count)),
        )

    return make


def bernoulli(length: int, passes: int, seed: int, first: int = 0) -> MaskSetSample:
    """Every token masked with probability t, even on 0..1, and the sum divided by t."""
    rng = random.Random(seed)

    def make() -> Unit:
        share = 1 - rng.random()  # never 0
        places = tuple(place for place in range(length) if rng.random() < share)
        return (MaskSet(places, 1 / share),)

    return MaskSetSample("bernoulli", [], [Stratum(1.0, make)], 1)


DREAM_BATCH, DREAM_EPS = 32, 1e-3
"""Mask sets of a batch as Dream's scripts run it, and the least probability of a mask."""


def dream(length: int, passes: int, seed: int, first: int = 0) -> MaskSetSample:
    """Dream's published estimator: as `bernoulli`, with t spread evenly over a batch of mask sets.

    The shares of a batch of b are (u + i/b) mod 1, of one random u, each then (1 - eps) t + eps; a
    set's sum is divided by its share, and a batch is the mean of its sets. Batches have 32 sets, or
    half of the passes (of the first round), so that two tell a standard error.
    """
    rng = random.Random(seed)
    batch = max(1, min(DREAM_BATCH, (first or passes) // 2))

    def make() -> Unit:
        begin, sets = rng.random(), []
        for number in range(batch):
            share = (1 - DREAM_EPS) * ((begin + number / batch) % 1) + DREAM_EPS
            places = tuple(place for place in range(length) if rng.random() < share)
            sets.append(MaskSet(places, 1 / (share * batch)))
        return tuple(sets)

    return MaskSetSample("dream", [], [Stratum(1.0, make)], batch)
