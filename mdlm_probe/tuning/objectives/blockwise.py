"""The blockwise objective: one block of the answer, all before it clean, all after it masked.

Source: arXiv 2510.03289, section 3.4.2; the order of patterns and of steps is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from jaxtyping import Bool, Float

from mdlm_probe.core.cells import seed
from mdlm_probe.core.options import check_range
from mdlm_probe.tuning.corruption import (
    Corrupted,
    Moment,
    Sample,
    Tokens,
    cross_entropy,
    one_row,
)

if TYPE_CHECKING:
    from torch import Tensor


def plan(*, block: Annotated[int, "tokens of a block, 1 to 16"] = 4) -> Blockwise:
    """The objective.

    Raises:
        ProbeError: naming the option.
    """
    check_range(1, 16, "1 to 16", block=block)
    return Blockwise(block)


@dataclass(frozen=True)
class Blockwise:
    """The objective with its options; see `plan`."""

    block: int
    needs_slack: bool = False

    @property
    def patterns(self) -> int:
        """Non-empty subsets of a block: 2^B - 1."""
        return (1 << self.block) - 1

    def pattern(self, item: int) -> Bool[np.ndarray, " block"]:
        """Which tokens of its block the sample of this number hides.

        All patterns come once, in random order, before any comes again.
        """
        turn, place = divmod(item, self.patterns)
        order = np.random.default_rng(seed("blockwise patterns", turn)).permutation(self.patterns)
        return (int(order[place]) + 1 >> np.arange(self.block) & 1).astype(bool)

    def corrupt(self, sample: Sample, tokens: Tokens, moment: Moment) -> Corrupted:
        """The block whose turn it is: the last one of each answer when training begins, the first
        when it ends. Ends of text fill the last block, as they fill a canvas.
        """
        room = (tokens.context - len(sample.prompt)) // self.block
        blocks = max(1, min(-(-len(sample.answer) // self.block), room))
        answer = np.full(blocks * self.block, tokens.end, np.int64)
        answer[: len(sample.answer)] = sample.answer[: len(answer)]
        at = self.block * (blocks - 1 - moment.step * blocks // moment.steps)
        scored = np.zeros(len(answer), bool)
        scored[at : at + self.block] = self.pattern(moment.item)
        hidden = scored | (np.arange(len(answer)) >= at + self.block)
        return one_row(sample, answer, hidden, scored, tokens.mask, 1 / int(scored.sum()))

    def loss(
        self, logits: Float[Tensor, "1 places vocab"], item: Corrupted
    ) -> dict[str, Float[Tensor, ""]]:
        """The mean negative log-likelihood of the block's hidden tokens, in nats."""
        return {"loss": cross_entropy(logits, item)}
