"""How likelihoods under masked models are estimated: see `estimators` for what there is."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from mdlm_probe.core import options
from mdlm_probe.core.errors import ProbeError

Estimator = Literal["auto", "exact-chain", "mc", "bernoulli", "dream", "pseudo"]
DRAWN = ("mc", "bernoulli", "dream")
"""Estimators that draw mask sets, unless all there are fit."""
Order = Literal["left_to_right", "right_to_left", "best_first"]
GreedyOrder = Literal["left_to_right", "low_confidence"]
"""In which order greedy decoding would write a continuation: one token after another, or the most
confident first."""
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
        cfg: scale of classifier-free guidance, with a second pass in which the context is masks; 0:
            none.
        count_mask: whether the mask's own logit counts where distributions are normalised, as in
            published likelihoods; else it is never predicted, and has no probability.
        greedy_order: in which order it is checked whether greedy decoding writes a continuation.
    """

    estimator: Estimator = "auto"
    order: Order = "left_to_right"
    bound: int = 16
    draws: int = 128
    target_se: float = 0.0
    decide: bool = False
    fill: Fill = "mask"
    cfg: float = 0.0
    count_mask: bool = False
    greedy_order: GreedyOrder = "left_to_right"

    def named(self) -> dict[str, Any]:
        """As answers are named by: those from before there were such choices are found."""
        usual = {field.name: field.default for field in fields(self)}
        later = ("cfg", "count_mask", "greedy_order")
        return {n: v for n, v in asdict(self).items() if n not in later or v != usual[n]}

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
        options.check_least(1, bound=self.bound, draws=self.draws)
        options.check_least(0, target_se=self.target_se, cfg=self.cfg)

    def check_draws(self, tokens: int, name: str) -> None:
        """Refuses fewer draws than tell a standard error, where a text of so many tokens takes any.

        Raises:
            ProbeError: naming the option, and the text.
        """
        known = self.estimator_of(tokens)
        exact = known not in DRAWN or (known == "mc" and 2 ** min(tokens, 64) - 1 <= self.draws)
        if not exact and self.draws < LEAST_DRAWS:
            raise ProbeError(
                f"--draws has {self.draws}, and sets of the {tokens} tokens of {name or 'an item'}"
                " are drawn",
                expected=f"{LEAST_DRAWS} or more, which tell a standard error",
                hint="--estimator exact-chain draws nothing",
                option="draws",
            )


USUAL = Settings()
"""Where nobody says otherwise."""
