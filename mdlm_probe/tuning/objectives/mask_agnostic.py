"""The mask-agnostic objective: the same prediction whatever number of masks follows.

Source: arXiv 2511.21338, section 6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from jaxtyping import Float

from mdlm_probe.core.options import check_least, check_positive
from mdlm_probe.tuning.corruption import (
    Corrupted,
    Moment,
    Sample,
    Tokens,
    cross_entropy,
    row_of,
)

if TYPE_CHECKING:
    from torch import Tensor

LOW, HIGH = 0.2, 0.8
"""Between these the probability of hiding a token is uniform."""


def plan(
    *,
    alpha: Annotated[float, "weight of the cross-entropy"] = 0.1,
    beta: Annotated[
        float, "weight of the distance between the two predictions; 0: no such loss"
    ] = 1.0,
    max_masks: Annotated[int, "most masks appended to an answer"] = 600,
    curriculum_steps: Annotated[
        int, "optimiser steps over which that number grows from 1; 0: none"
    ] = 116,
) -> MaskAgnostic:
    """The objective. 116 optimiser steps of 43 batches each are the paper's 5000 "gradient descent
    steps", if these are batches (ours).

    Raises:
        ProbeError: naming the option.
    """
    check_least(0, alpha=alpha, beta=beta, curriculum_steps=curriculum_steps)
    check_positive(max_masks=max_masks)
    return MaskAgnostic(alpha, beta, max_masks, curriculum_steps)


@dataclass(frozen=True)
class Pair(Corrupted):
    """Two rows with the same corrupted answer, each with its own number of masks after it.

    Attributes:
        share: the probability with which tokens were hidden.
    """

    share: float


@dataclass(frozen=True)
class MaskAgnostic:
    """The objective with its options; see `plan`."""

    alpha: float
    beta: float
    max_masks: int
    curriculum_steps: int
    needs_slack: bool = False

    def most(self, step: int) -> int:
        """Most masks that a step appends."""
        grown = min(1.0, (step + 1) / max(self.curriculum_steps, 1))
        return max(1, math.floor(self.max_masks * grown))

    def corrupt(self, sample: Sample, tokens: Tokens, moment: Moment) -> Pair:
        """One corrupted answer with two different numbers of masks after it.

        The shorter row is padded with ends of text, which are read, as the paper pads. Where none
        is hidden by chance, one token drawn evenly is; where the context has no room for masks,
        both rows have none (ours).
        """
        rng, answer = moment.rng, np.array(sample.answer, np.int64)
        share = rng.uniform(LOW, HIGH)
        hidden = rng.random(len(answer)) < share
        hidden[rng.integers(len(answer))] |= not hidden.any()
        row = row_of(sample, answer, hidden, tokens.mask)
        room = max(0, min(tokens.context - len(row), self.most(moment.step)))
        counts = rng.choice(room + 1, 2, replace=False) if room else np.zeros(2, int)
        rows = np.full((2, len(row) + counts.max()), tokens.end, np.int64)
        rows[:, : len(row)] = row
        for number, count in enumerate(counts):
            rows[number, len(row) : len(row) + count] = tokens.mask
        places = np.flatnonzero(hidden)
        weight = 1 / (2 * share * len(places))
        return Pair(rows, places + len(sample.prompt), answer[places], weight, share)

    def loss(
        self, logits: Float[Tensor, "2 places vocab"], item: Pair
    ) -> dict[str, Float[Tensor, ""]]:
        """alpha x cross-entropy + beta x total variation, then these; gradients through both rows.

        ce = -1/(2 p n) sum over rows and hidden tokens of log p(token), in nats; tv = p/n sum over
        hidden tokens of the L1 distance between the rows' distributions. p is the probability with
        which each of the n was hidden.
        """
        ce = cross_entropy(logits, item)
        first, second = logits.softmax(-1)
        tv = item.share / len(item.targets) * (first - second).abs().sum()
        return {"loss": self.alpha * ce + self.beta * tv, "ce": ce, "l1": tv}
