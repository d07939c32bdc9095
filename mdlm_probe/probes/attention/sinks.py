"""Sinks: keys that receive far more attention than an even share, and what stands in for them.

Source: arXiv 2510.15731: a token is a sink of a layer if its cumulative attention score (over all
queries, the mean of heads) exceeds the mean of the others' by more than epsilon, 3 there. Ours:
what attention that is even over all that a query sees would give is left out of the score, since
under causal attention the first keys' share of it is large whatever the network does. Under
bidirectional attention it is 1 for every key, and the two are the same.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.probes.attention.canvases import StepCanvas

Removed = tuple[tuple[int, int], ...]
"""A key of each layer: (layer, position), both from 0."""
REGIONS = (("first", "prompt"), ("written", "end"), ("mask",))
"""Kinds of keys that stand in for each other."""


@dataclass(frozen=True)
class Sinks:
    """The keys of a pass by what they receive.

    Attributes:
        received: cumulative attention of each key, [layers, length]; a layer's mean is 1.
        even: what it would be, were every query's attention even, [length].
        heads: share of heads in which each key is the strongest, [layers, length].
        epsilon: how much more than an even share makes a sink.
    """

    received: Float[np.ndarray, "layers length"]
    even: Float[np.ndarray, " length"]
    heads: Float[np.ndarray, "layers length"]
    epsilon: float

    @property
    def are(self) -> Bool[np.ndarray, "layers length"]:
        """Whether each key is a sink."""
        length = len(self.even)
        # a key against the mean of the others: (1 - its own share) / (n - 1) of the whole
        above = (self.received - self.even) * length / max(1, length - 1)
        found: np.ndarray = above > self.epsilon
        return found

    @property
    def strongest(self) -> tuple[int, ...]:
        """The key of each layer that receives most beyond its even share."""
        return tuple(int(at) for at in (self.received - self.even).argmax(-1))

    @property
    def removed(self) -> Removed:
        """The strongest key of each layer."""
        return tuple(enumerate(self.strongest))

    def control(self, canvas: StepCanvas, seed: int, draw: int) -> Removed:
        """A key of each layer in place of the strongest, of the same region and no sink, at random.

        Where a region has no other, any key that is no sink. Where one position alone predicts, its
        own key is none: it would go on to see itself.
        """
        return tuple(
            (layer, self._other(canvas, layer, seed_of(seed, canvas.steps_before, layer, draw)))
            for layer in range(len(self.received))
        )

    def _other(self, canvas: StepCanvas, layer: int, seed: int) -> int:
        at, sinks = self.strongest[layer], self.are[layer]
        region = next(kinds for kinds in REGIONS if canvas.kinds[at] in kinds)
        never = {at, *canvas.queries} if len(canvas.queries) == 1 else {at}
        free = [place for place in range(len(sinks)) if not sinks[place] and place not in never]
        own = [place for place in free if canvas.kinds[place] in region]
        places: Sequence[int] = own or free or [at]
        return random.Random(seed).choice(places)
