"""Schedules: how a canvas of masks is filled in, in which order and in how many steps. No torch.

Facts of the published loops: LLaDA (arXiv 2502.09992): as many masks per step as divide evenly, the
remainder first; steps beyond the masks commit nothing. Dream (arXiv 2508.15487): a share of the
masks that are left, by time steps. See `rules` for which of them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from mdlm_probe.core import options
from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError, Refusal
from mdlm_probe.decoding import rules
from mdlm_probe.decoding.rules import EXTRA_EDITS, RULES, Order, Rule, RuleSettings

if TYPE_CHECKING:
    from mdlm_probe.models._checkpoint import Checkpoint

Eos = Literal["free", "eos_inf", "eos_last", "eos_inf+eos_last"]
Cache = Literal["none", "prefix", "dual"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a canvas is filled in.

    Attributes:
        steps: steps that its masks are spread over: evenly over the blocks, the remainder to the
            first ones, and within a block over its masks likewise. A step that would commit nothing
            isn't made. "threshold", "factor" and "entropy_bounded" take as many as they need.
        block: masks of a block; blocks are filled from left to right. 0: one block.
        order: which masks of a block a step commits: those of the highest confidence (the leftmost
            among equals), or those that come first in a random permutation, or leftmost; see
            `rules`.
        threshold: confidence above which "threshold" and "low_confidence_dynamic" commit a mask.
        temperature: of the tokens drawn; 0 takes the most probable one.
        guidance: scale of classifier-free guidance, which needs a second pass; 0: none.
        eos: "eos_inf": the end of text is never predicted (a chat's end of turn may be, as in the
            published loop); "eos_last": both are committed after all else in their block, in orders
            by confidence; "eos_inf+eos_last": as published code lets the two be set together, an
            end of turn comes last and an end of text never; "free": like any token.
        cache: which keys and values are kept while a block is filled in: none, those left of it
            ("prefix"), or those on both sides ("dual"). An approximation (arXiv 2505.22618).
        stop: end once the text before the first end is whole: what follows can't change it.
        at_once: masks that a step commits, in place of `steps`; 0: as `steps` says.
        seed: of random orders and tokens.
        rule_settings: what some rules need beside.
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
    rule_settings: RuleSettings = field(default_factory=RuleSettings)

    @property
    def rule(self) -> Rule:
        """What the order is made of."""
        return RULES[self.order]

    def never(self, ends: tuple[int, ...]) -> tuple[int, ...]:
        """Of a model's ends of text and turns, those that are never predicted."""
        return ends[:1] if self.eos.startswith("eos_inf") else ()

    def last(self, ends: tuple[int, ...]) -> tuple[int, ...]:
        """Of a model's ends of text and turns, those that are committed after all else."""
        return ends if self.eos.endswith("eos_last") else ()

    def blocks(self, masks: int) -> list[range]:
        """The blocks of a canvas of so many masks, by their number in it."""
        size = self.block or masks
        return [range(first, min(first + size, masks)) for first in range(0, masks, size or 1)]

    def block_steps(self, masks: int) -> list[int]:
        """Steps of each block."""
        return amounts(self.steps, len(self.blocks(masks)))

    def amount(self, step: int, steps: int, masks: int, left: int) -> int:
        """Masks that a block's step commits: its quota, or the most where confidence decides; 0
        where the step isn't to be made. "low_confidence_dynamic" may exceed its quota.

        Args:
            step: number of the step in its block, from 0.
            steps: the block's steps.
            masks: of the block, when it began.
            left: of them, now.
        """
        if self.rule.free:
            return left
        if self.at_once:
            return min(self.at_once, left)
        if self.rule.dream:
            eps = self.rule_settings.eps
            return left if step >= steps - 1 else _dream_amount(step, steps, left, eps)
        even = amounts(masks, steps)
        # what an intervention left behind is committed in further steps, at the pace of the last
        return min(left, even[step] if step < steps else max(1, even[-1]))

    def drawn(self, left: Sequence[int], step: int, steps: int) -> list[int]:
        """The masks that a step of "dream_origin" commits: each of those left, by itself, with the
        share of the time that the step takes; all in the last one.

        Args:
            left: numbers of the masks in the window.
            step, steps: as for `amount`.
        """
        if step >= steps - 1 or self.at_once:
            return list(left)[: self.at_once or None]
        share = _shares(steps, self.rule_settings.eps)[step]
        return [mask for mask in left if self._uniform("origin", steps, step, mask) < share]

    def chosen(
        self, confidences: Sequence[float], amount: int, step: int = 0, places: Sequence[int] = ()
    ) -> list[int]:
        """Which of these masks a step commits, by their place in the list, ascending.

        Args:
            confidences: of the masks that were asked, left to right.
            amount: how many to commit, where confidence alone doesn't say.
            step: number of the step, and
            places: positions of the masks, for Dream's draws.
        """
        values, settings = list(confidences), self.rule_settings
        if settings.alg_temp:
            values = [
                self._perturbed(value, step, place)
                for value, place in zip(values, places, strict=True)
            ]
        # the leftmost first among equals
        ranked = sorted(range(len(values)), key=values.__getitem__, reverse=True)
        ordered = [confidences[at] for at in ranked]
        amount = rules.committed(self.order, ordered, amount, self.threshold, settings)
        return sorted(ranked[:amount])

    def _perturbed(self, confidence: float, step: int, place: int) -> float:
        """Confidence at Dream's temperature with Gumbel noise: the largest are a sample without
        replacement from its softmax. Probabilities are compared as they are, not as logarithms.
        """
        if confidence == -math.inf:
            return confidence
        known = math.exp(confidence) if self.rule.measure == "probability" else confidence
        noise = -math.log(-math.log(max(self._uniform("alg_temp", step, place), 1e-300)))
        return known / self.rule_settings.alg_temp + noise

    def _uniform(self, *parts: int | str) -> float:
        return random.Random(seed_of(self.seed, *parts)).random()

    def priorities(self, masks: int) -> list[int]:
        """The place of each mask in an order that is known beforehand."""
        found = list(range(masks))
        if self.order == "random":
            random.Random(self.seed).shuffle(found)
        return found

    def brief(self) -> Schedule:
        """The same with all masks in one step."""
        order: Order = "low_confidence" if self.rule.free else self.order
        settings = replace(self.rule_settings, edit_threshold=1.0)
        if self.rule.free:
            settings = replace(settings, factor=1.0, entropy_bound=RuleSettings().entropy_bound)
        return replace(self, steps=1, block=0, at_once=0, order=order, rule_settings=settings)

    def made(self, masks: int) -> int:
        """Steps that a whole canvas takes; at most, where confidence or chance decides."""
        each = zip(self.blocks(masks), self.block_steps(masks), strict=True)
        return sum(self.made_in(len(block), steps, len(block)) for block, steps in each)

    def made_in(self, masks: int, steps: int, left: int) -> int:
        """Steps that a block takes, at most; see `amount`."""
        total = step = 0
        extra = EXTRA_EDITS if self.rule_settings.edits else 0
        if self.order == "dream_origin" and not self.at_once:
            return min(steps, left) + extra
        while left:
            done = 1 if self.rule.free else self.amount(step, steps, masks, left)
            total, left, step = total + bool(done), left - done, step + 1
        return total + extra


def amounts(whole: int, parts: int) -> list[int]:
    """So many things in so many parts, evenly, the remainder first."""
    base, rest = divmod(whole, parts)
    return [base + (part < rest) for part in range(parts)]


def _dream_amount(step: int, steps: int, left: int, eps: float) -> int:
    import numpy as np

    # in float32, as there: 1 - s/t may fall short of the share it stands for
    return int(np.float32(left) * np.float32(_shares(steps, eps)[step]))


@cache
def _shares(steps: int, eps: float) -> list[float]:
    """Of the masks that are left, the share that each of Dream's steps commits."""
    import torch

    times = torch.linspace(1, eps, steps + 1)
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
    if schedule.steps < length // block and not schedule.rule.free:
        raise ProbeError(
            f"--steps {schedule.steps} are fewer than the {length // block} blocks"
            f" of --length {length}, --block {block}",
            expected="a step for each block, or more",
            hint="fewer steps need larger blocks",
            option=("steps", "length", "block"),
        )
    if not 0 < schedule.threshold <= 1:
        expected = "a probability: above 0, at most 1"
        raise options.wrong("threshold", schedule.threshold, expected)
    options.check_least(0, temperature=schedule.temperature, guidance=schedule.guidance)
    rules.check_settings(schedule.order, schedule.rule_settings)
    if schedule.eos.endswith("eos_last") and not schedule.rule.measure:
        raise ProbeError(
            f"--eos {schedule.eos} has no say in --order {schedule.order}, known beforehand",
            expected="an order by confidence, or another --eos",
            option=("eos", "order"),
        )
    if schedule.guidance and schedule.cache != "none":
        raise ProbeError(
            "--guidance and --cache don't go together",
            expected="one of the two: guided passes keep no keys and values",
            option=("guidance", "cache"),
        )


def unfit(block: int, cache: Cache, entry: Checkpoint) -> str:
    """Why a model's attention doesn't go with a schedule's blocks or cache; empty if it does."""
    if entry.block and block and entry.block % block:
        return Refusal.of(
            f"--block {block}: '{entry.name}' sees nothing behind its blocks of"
            f" {entry.block}, so a block is {entry.block} or divides it",
            "block",
        )
    if entry.block and cache == "dual":
        return Refusal.of(
            f"--cache dual: '{entry.name}' has seen nothing right of a block that could be kept;"
            " finished blocks are kept anyhow, which is exact",
            "cache",
        )
    return ""


def kept(options: Mapping[str, Any], entry: Checkpoint) -> dict[str, str]:
    """What run.json says of keys and values that are kept anyhow: those of finished blocks.

    Args:
        options: of a plan; without a choice of a cache nothing is written by the loop.
        entry: the model's.
    """
    keeps = entry.block and entry.gradients and "cache" in options and not options.get("guidance")
    return {"kv_cache": "finished blocks, exact"} if keeps else {}


def _divisors_near(length: int, block: int) -> list[int]:
    divisors = [n for n in range(1, length + 1) if length % n == 0]
    return sorted(sorted(divisors, key=lambda n: abs(n - block))[:2])
