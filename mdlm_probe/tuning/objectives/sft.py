"""The masked fine-tuning objective: hidden tokens of the answer, as the models were trained.

Source: LLaDA, arXiv 2502.09992, section 2.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from mdlm_probe.tuning.corruption import (
    SMALLEST,
    Corrupted,
    Moment,
    Sample,
    Tokens,
    cross_entropy,
    one_row,
)

if TYPE_CHECKING:
    from torch import Tensor


def plan() -> MaskedTuning:
    """The objective; it has no options."""
    return MaskedTuning()


@dataclass(frozen=True)
class MaskedTuning:
    """The objective."""

    needs_slack: bool = False

    def corrupt(self, sample: Sample, tokens: Tokens, moment: Moment) -> Corrupted:
        """Hides each token of the answer with one probability, itself uniform."""
        answer = np.array(sample.answer, np.int64)
        share = moment.rng.uniform(SMALLEST, 1)
        hidden = moment.rng.random(len(answer)) < share
        return one_row(sample, answer, hidden, hidden, tokens.mask, 1 / (share * len(answer)))

    def loss(
        self, logits: Float[Tensor, "1 places vocab"], item: Corrupted
    ) -> dict[str, Float[Tensor, ""]]:
        """The hidden tokens' negative log-likelihood over share x length, in nats per token.

        Source: LLaDA, arXiv 2502.09992, equation 5.
        """
        return {"loss": cross_entropy(logits, item)}
