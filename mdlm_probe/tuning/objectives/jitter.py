"""The jitter objective: cross-entropy on a random placement of the answer among `<slack>`.

The baseline of arXiv 2601.22947 that moves tokens as the alignment-flexible loss does, but holds
the model to the one placement that was drawn; how it is drawn is ours, see `placement.place`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxtyping import Float

from mdlm_probe.tuning.corruption import Corrupted, Moment, Sample, Tokens, cross_entropy
from mdlm_probe.tuning.placement import SlackOption, check_slack, hidden_row

if TYPE_CHECKING:
    from torch import Tensor


def plan(*, smax: SlackOption = 0.2) -> Jitter:
    """The objective.

    Raises:
        ProbeError: naming the option.
    """
    check_slack(smax)
    return Jitter(smax)


@dataclass(frozen=True)
class Jitter:
    """The objective with its options; see `plan`."""

    smax: float
    needs_slack: bool = True

    def corrupt(self, sample: Sample, tokens: Tokens, moment: Moment) -> Corrupted:
        """The answer on its canvas, some of whose slots are masked."""
        return hidden_row(sample, tokens, moment, self.smax)[1]

    def loss(
        self, logits: Float[Tensor, "1 places vocab"], item: Corrupted
    ) -> dict[str, Float[Tensor, ""]]:
        """The negative log-likelihood of the masked slots, over share x tokens of the answer."""
        return {"loss": cross_entropy(logits, item)}
