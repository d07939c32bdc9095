"""Schedules: how a canvas of masks is filled in, in which order and in how many steps. No torch.

Facts of the published loops: LLaDA (arXiv 2502.09992): as many masks per step as divide evenly, the
remainder first. Dream (arXiv 2508.15487): a share of the masks that are left, by time steps.
Fast-dLLM (arXiv 2505.22618): every mask above a confidence threshold, one at least.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from mdlm_probe.core import options
from mdlm_probe.core.errors import ProbeError

if TYPE_CHECKING:
    from mdlm_probe.engine.readouts import Confidence

Order = Literal[
    "low_confidence",
    "random",
    "left_to_right",
    "entropy",
    "margin",
    "threshold",
    "dream_maskgit_plus",
    "dream_topk_margin",
    "dream_entropy",
]
Eos = Literal["free", "eos_inf", "eos_last"]
Cache = Literal["none", "prefix", "dual"]

DREAM_EPS = 1e-3
"""The last time step of Dream's schedule; the first is 1."""


class Rule(NamedTuple):
    """What an order strategy is made of.

    Attributes:
        measure: confidence; "" where the order is known beforehand.
        dream: whether amounts and confidence are Dream's.
    """

    measure: Confidence | Literal[""]
    dream: bool = False


RULES: dict[Order, Rule] = {
    "low_confidence": Rule("probability"),
    "random": Rule(""),
    "left_to_right": Rule(""),
    "entropy": Rule("entropy"),
    "margin": Rule("margin"),
    "threshold": Rule("probability"),
    "dream_maskgit_plus": Rule("probability", dream=True),
    "dream_topk_margin": Rule("margin", dream=True),
    "dream_entropy": Rule("entropy", dream=True),
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a canvas is filled in.

    Attributes:
        steps: steps that its masks are spread over: evenly over the blocks, the remainder to the
            first ones, and within a block over its masks likewise. A step that would commit nothing
            isn't made. "threshold" takes as many as it needs.
        block: masks of a block; blocks are filled from left to right. 0: one block.
        order: which masks of a block a step commits: those of the highest confidence (the leftmost
            among equals), or those that come first in a random permutation, or leftmost.
        threshold: confidence above which "threshold" commits a mask.
        temperature: of the tokens drawn; 0 takes the most probable one.
        guidance: scale of classifier-free guidance, which needs a second pass; 0: none.
        eos: "eos_inf": the end of text is never predicted (a chat's end of turn may be, as in the
            published loop); "eos_last": both are committed after all else in their block, in orders
            by confidence; "free": like any token.
        cache: which keys and values are kept while a block is filled in: none, those left of it
            ("prefix"), or those on both sides ("dual"). An approximation (arXiv 2505.22618).
        stop: end once the text before the first end is whole: what follows can't change it.
        at_once: masks that a step commits, in place of `steps`; 0: as `steps` says.
        seed: of random orders and tokens.
    """

    steps: int = 1
    block: int = 0
    order: Order = "low_confidence"
    threshold: float = 0.9
    temperature: float = 0.0
    guidance: float = 0.0
    eos: Eos = "free"
    cache: Cache = "none"
    stop: bool = True
    at_once: int = 0
    seed: int = 0

    @property
    def rule(self) -> Rule:
        """What the order is made of."""
        return RULES[self.order]

    def never(self, ends: tuple[int, ...]) -> tuple[int, ...]:
        """Of a model's ends of text and turns, those that are never predicted."""
        return ends[:1] if self.eos == "eos_inf" else ()

    def blocks(self, masks: int) -> list[range]:
        """The blocks of a canvas of so many masks, by their number in it."""
        size = self.block or masks
        return [range(first, min(first + size, masks)) for first in range(0, masks, size or 1)]

    def block_steps(self, masks: int) -> list[int]:
        """Steps of each block."""
        return amounts(self.steps, len(self.blocks(masks)))

    def amount(self, step: int, steps: int, masks: int, left: int) -> int:
        """Masks that a block's step commits at most; 0 where the step isn't to be made.

        Args:
            step: number of the step in its block, from 0.
            steps: the block's steps.
            masks: of the block, when it began.
            left: of them, now.
        """
        if self.order == "threshold":
            return left
        if self.at_once:
            return min(self.at_once, left)
        if self.rule.dream:
            return left if step >= steps - 1 else _dream_amount(step, steps, left)
        even = amounts(masks, steps)
        # what an intervention left behind is committed in further steps, at the pace of the last
        return min(left, even[step] if step < steps else max(1, even[-1]))

    def chosen(self, confidences: Sequence[float], amount: int) -> list[int]:
        """Which of these masks a step commits, by their place in the list, ascending.

        Args:
            confidences: of the masks that were asked, left to right.
            amount: how many to commit; "threshold" takes all above its own, one at least.
        """
        places = range(len(confidences))
        ranked = sorted(places, key=lambda at: -confidences[at])  # the leftmost first among equals
        if self.order == "threshold":
            limit = math.log(self.threshold)
            amount = max(1, sum(confidence > limit for confidence in confidences))
        return sorted(ranked[:amount])

    def priorities(self, masks: int) -> list[int]:
        """The place of each mask in an order that is known beforehand."""
        found = list(range(masks))
        if self.order == "random":
            random.Random(self.seed).shuffle(found)
        return found

    def brief(self) -> Schedule:
        """The same with all masks in one step."""
        order: Order = "low_confidence" if self.order == "threshold" else self.order
        return replace(self, steps=1, block=0, at_once=0, order=order)

    def made(self, masks: int) -> int:
        """Steps that a whole canvas takes; at most, with "threshold"."""
        total = 0
        for block, steps in zip(self.blocks(masks), self.block_steps(masks), strict=True):
            left, step = len(block), 0
            while left:
                done = (
                    1 if self.order == "threshold" else self.amount(step, steps, len(block), left)
                )
                total, left, step = total + bool(done), left - done, step + 1
        return total


def amounts(whole: int, parts: int) -> list[int]:
    """So many things in so many parts, evenly, the remainder first."""
    base, rest = divmod(whole, parts)
    return [base + (part < rest) for part in range(parts)]


def _dream_amount(step: int, steps: int, left: int) -> int:
    import numpy as np

    # in float32, as there: 1 - s/t may fall short of the share it stands for
    return int(np.float32(left) * np.float32(_shares(steps)[step]))


@cache
def _shares(steps: int) -> list[float]:
    """Of the masks that are left, the share that each of Dream's steps commits."""
    import torch

    times = torch.linspace(1, DREAM_EPS, steps + 1)
    return (1 - times[1:] / times[:-1]).tolist()


def check(length: int, schedule: Schedule) -> None:
    """Refuses schedules that no canvas of this length has.

    Raises:
        ProbeError: naming the option.
    """
    block = schedule.block or length
    options.check_least(1, length=length, block=block, steps=schedule.steps)
    if length % block:
        raise ProbeError(
            f"--block {block} does not divide --length {length}",
            expected="a divisor, so that every block is whole",
            hint="such as " + ", ".join(map(str, _divisors_near(length, block))),
            option=("block", "length"),
        )
    if schedule.steps < length // block and schedule.order != "threshold":
        raise ProbeError(
            f"--steps {schedule.steps} are fewer than the {length // block} blocks"
            f" of --length {length}, --block {block}",
            expected="a step for each block, or more",
            hint="fewer steps need larger blocks",
            option=("steps", "length", "block"),
        )
    if schedule.steps > length:
        raise ProbeError(
            f"--steps {schedule.steps} are more than the masks of --length {length}",
            expected="a mask for each step, or more",
            option=("steps", "length"),
        )
    if not 0 < schedule.threshold <= 1:
        expected = "a probability: above 0, at most 1"
        raise options.wrong("threshold", schedule.threshold, expected)
    options.check_least(0, temperature=schedule.temperature, guidance=schedule.guidance)
    if schedule.eos == "eos_last" and not schedule.rule.measure:
        raise ProbeError(
            f"--eos eos_last has no say in --order {schedule.order}, which is known beforehand",
            expected="an order by confidence, or another --eos",
            option=("eos", "order"),
        )
    if schedule.guidance and schedule.cache != "none":
        raise ProbeError(
            "--guidance and --cache don't go together",
            expected="one of the two: guided passes keep no keys and values",
            option=("guidance", "cache"),
        )


def _divisors_near(length: int, block: int) -> list[int]:
    divisors = [n for n in range(1, length + 1) if length % n == 0]
    return sorted(sorted(divisors, key=lambda n: abs(n - block))[:2])
