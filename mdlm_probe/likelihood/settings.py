"""How likelihoods under masked models are estimated: see `estimators` for what there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mdlm_probe.core import options

Estimator = Literal["auto", "exact-chain", "mc", "bernoulli", "pseudo"]
Order = Literal["left_to_right", "right_to_left", "best_first"]
Fill = Literal["mask", "eos", "cut"]
"""What stands behind a continuation in its last block of block-causal attention."""
Overlength = Literal["cut", "keep-start", "skip", "error"]
"""What is done with a context longer than the model reads: `cut`, on the left; `keep-start`: after
the tokens that open a text, such as BOS; `skip`, its document counts nowhere; `error`."""

LEAST_DRAWS = 5
"""All masked, and two pairs of sets: one pair has no spread, and tells no standard error."""
FIRST = 16
"""Mask sets of a first round, where a precision is wanted; every further round doubles them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How masked models are asked; causal models have no choice.

    Attributes:
        estimator: see `estimators`.
        order: of the chain rule.
        bound: most tokens of a continuation, or of its largest block, that `auto` scores by the
            chain rule.
        draws: mask sets of an estimate by Monte Carlo, at most; of each block under block-causal
            attention.
        target_se: standard error (nats) at which an item needs no more of them; 0: all are made.
        decide: whether a group of items needs no more once its ranking is sure, see `rankings`.
        fill: under block-causal attention, what stands behind a continuation in its last block:
            masks (mask), as decoding sees it; ends of text (eos); nothing (cut). It moves values.
    """

    estimator: Estimator = "auto"
    order: Order = "left_to_right"
    bound: int = 16
    draws: int = 128
    target_se: float = 0.0
    decide: bool = False
    fill: Fill = "mask"

    def estimator_of(self, tokens: int) -> Estimator:
        """The estimator of a continuation of so many tokens."""
        if self.estimator != "auto":
            return self.estimator
        return "exact-chain" if tokens <= self.bound else "mc"

    def rounds(self) -> list[int]:
        """Passes of an estimate after each round, those of all rounds before it included."""
        if not (self.target_se or self.decide):
            return [self.draws]
        sizes = [min(FIRST, self.draws)]
        while sizes[-1] < self.draws:
            sizes.append(min(2 * sizes[-1], self.draws))
        return sizes

    def check(self) -> None:
        """Refuses settings that mean nothing.

        Raises:
            ProbeError: naming the option.
        """
        options.check_least(LEAST_DRAWS, draws=self.draws)
        options.check_least(1, bound=self.bound)
        options.check_least(0, target_se=self.target_se)


USUAL = Settings()
"""Where nobody says otherwise."""
