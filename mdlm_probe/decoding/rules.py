"""Rules: which masks of a block a step commits, and the settings that published recipes give them.

No torch. Facts of the published loops, each in a line: LLaDA (arXiv 2502.09992) commits the most
confident masks; Dream (arXiv 2508.15487) the most confident by one of three measures, or each with
the same chance ("origin"); Fast-dLLM (arXiv 2505.22618) all above a threshold, or as many as a
factor allows; SDAR (arXiv 2510.06303) all above a threshold if these are the step's quota at least,
or as many as an entropy bound allows; LLaDA2.1 (arXiv 2602.08676) also replaces written tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

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
    "dream_origin",
    "low_confidence_dynamic",
    "entropy_bounded",
    "factor",
]
LastBlock = Literal["whole", "cut"]

DREAM_EPS = 1e-3
"""The last time step of Dream's schedule; the first is 1."""
EXTRA_EDITS = 16
"""Steps that may edit a block without masks, at most: as published with LLaDA2.1."""


class Rule(NamedTuple):
    """What an order strategy is made of.

    Attributes:
        measure: confidence; "" where the order is known beforehand.
        dream: whether amounts and confidence are Dream's.
        tempered: whether confidence is of the distribution at the temperature, as Dream and SDAR
            have it; else it is the model's own.
        free: whether a step commits as many as confidence allows, one at least, whatever `steps`.
    """

    measure: Confidence | Literal[""]
    dream: bool = False
    tempered: bool = False
    free: bool = False


RULES: dict[Order, Rule] = {
    "low_confidence": Rule("probability"),
    "random": Rule(""),
    "left_to_right": Rule(""),
    "entropy": Rule("entropy"),
    "margin": Rule("margin"),
    "threshold": Rule("probability", free=True),
    "dream_maskgit_plus": Rule("probability", dream=True, tempered=True),
    "dream_topk_margin": Rule("margin", dream=True, tempered=True),
    "dream_entropy": Rule("entropy", dream=True, tempered=True),
    "dream_origin": Rule("", dream=True, tempered=True),
    "low_confidence_dynamic": Rule("probability", tempered=True),
    "entropy_bounded": Rule("entropy", tempered=True, free=True),
    "factor": Rule("probability", free=True),
}


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """Settings of rules that published recipes use; at their defaults nothing is changed.

    Attributes:
        top_p: of every distribution the fewest most probable tokens that reach this share are kept;
            1: all.
        top_k: so many most probable tokens are kept; 0: all. Confidence is taken after both, as
            SDAR and Dream take it: with 1 it is always 1.
        alg_temp: Dream's: masks are drawn by confidence at this temperature; 0: the most confident.
        eps: the last time step of Dream's schedule.
        factor: of the order "factor": the n-th most confident mask needs 1 - factor / (n + 1).
        entropy_bound: of "entropy_bounded": nats that a step's masks may have together.
        edit_threshold: LLaDA2.1's: a written token of the current block, none of the prompt's, is
            replaced by another whose probability is above it; 1: none is.
        last_block: of block-causal models: masks up to the end of the last block ("whole"), or none
            beyond those that were asked for ("cut").
    """

    top_p: float = 1.0
    top_k: int = 0
    alg_temp: float = 0.0
    eps: float = DREAM_EPS
    factor: float = 1.0
    entropy_bound: float = 0.35
    edit_threshold: float = 1.0
    last_block: LastBlock = "whole"

    @classmethod
    def of(cls, given: str | dict[str, Any]) -> RuleSettings:
        """Settings from `text`, or from options of which others are left out."""
        if isinstance(given, str):
            given = dict(part.split("=") for part in given.split())
        kinds: dict[str, Any] = {field.name: type(field.default) for field in fields(cls)}
        return cls(**{name: kinds[name](given[name]) for name in kinds if name in given})

    @property
    def text(self) -> str:
        """Those that are no defaults, as `name=value name=value`; "" for none."""
        own, usual = asdict(self), asdict(RuleSettings())
        return " ".join(f"{name}={own[name]}" for name in own if own[name] != usual[name])

    @property
    def edits(self) -> bool:
        """Whether written tokens may be replaced."""
        return self.edit_threshold < 1

    @property
    def truncates(self) -> bool:
        """Whether distributions lose their less probable tokens."""
        return self.top_p < 1 or self.top_k > 0


SETTINGS = tuple(field.name for field in fields(RuleSettings))
"""Names of the settings, as those of the options."""


def joined(order: Order, settings: RuleSettings) -> str:
    """An order and its settings as one text: the order alone where they are the usual ones."""
    return f"{order} {settings.text}".strip()


def split(text: str) -> tuple[Order, RuleSettings]:
    """The order and settings of such a text."""
    order, _, settings = text.partition(" ")
    return cast(Order, order), RuleSettings.of(settings)


def last_block(text: str) -> LastBlock:
    """What such a text says of the last block."""
    return split(text)[1].last_block


def settings_by_order(orders: Sequence[Order], settings: RuleSettings) -> dict[Order, RuleSettings]:
    """Of settings for several orders, each one's own: without those that have no say in it.

    Raises:
        ProbeError: a setting that has no say in any of them, or can't be.
    """
    found = {}
    for order in orders:
        idle = [name for name in SETTINGS if not _has_say(name, order)]
        usual = {name: getattr(RuleSettings(), name) for name in idle}
        found[order] = replace(settings, **usual)
        check_settings(order, found[order])
    for name in SETTINGS:
        if not any(_has_say(name, order) for order in orders):
            check_settings(orders[0], settings)
    return found


def committed(
    order: Order,
    confidences: Sequence[float],
    amount: int,
    threshold: float,
    settings: RuleSettings,
) -> int:
    """How many of its most confident masks a step commits.

    Args:
        order: the strategy.
        confidences: in nats where the measure is a probability; most confident first.
        amount: the step's quota.
        threshold: of "threshold" and "low_confidence_dynamic", a probability.
        settings: factor and entropy bound.
    """
    if order == "factor":
        return _by_factor(confidences, settings.factor)
    if order == "entropy_bounded":
        sums = accumulate(-confidence for confidence in confidences)
        return max(1, sum(so_far < settings.entropy_bound for so_far in sums))
    if order not in ("threshold", "low_confidence_dynamic"):
        return amount
    above = sum(confidence > math.log(threshold) for confidence in confidences)
    if order == "threshold":
        return max(1, above)
    return above if above >= amount else amount


def _by_factor(confidences: Sequence[float], factor: float) -> int:
    """As many as reach their bound, one at least.

    As published, a search that ends at the last mask commits that one, too, whether it reaches its
    bound or not.
    """
    last = len(confidences) - 1
    for at in range(1, last + 1):
        bound = 1 - factor / (at + 2)
        if math.exp(confidences[at]) < bound and at != last:
            return at
    return last + 1


def check_settings(order: Order, settings: RuleSettings) -> None:
    """Refuses settings that can't be, or that have no say in an order.

    Raises:
        ProbeError: naming the option.
    """
    options.check_positive(factor=settings.factor, entropy_bound=settings.entropy_bound)
    if not 0 < settings.top_p <= 1:
        raise options.wrong("top_p", settings.top_p, "a share: above 0, at most 1")
    options.check_least(0, top_k=settings.top_k, alg_temp=settings.alg_temp)
    options.check_range(
        0,
        1,
        "a probability, 0 to 1; 1: no token is replaced",
        edit_threshold=settings.edit_threshold,
    )
    if not 0 < settings.eps < 1:
        raise options.wrong("eps", settings.eps, "a time between 0 and 1")
    for name in SETTINGS:
        if getattr(settings, name) != getattr(RuleSettings(), name) and not _has_say(name, order):
            orders = [own for own in RULES if _has_say(name, own)]
            raise ProbeError(
                f"{options.flag(name)} has no say in --order {order}",
                expected=f"--order {' or '.join(orders)}",
                option=(name, "order"),
            )


def _has_say(setting: str, order: Order) -> bool:
    """Whether a setting changes what an order does."""
    rule = RULES[order]
    said = {
        "alg_temp": rule.dream and bool(rule.measure),
        "eps": rule.dream,
        "factor": order == "factor",
        "entropy_bound": order == "entropy_bounded",
        "edit_threshold": rule.measure == "probability",
    }
    return said.get(setting, True)
