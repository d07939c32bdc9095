"""The alignment-flexible objective: any placement of the answer among `<slack>` is right.

Source: arXiv 2601.22947, which leaves open how runs between visible tokens are treated, how canvas
and placement are drawn, and how the loss is mixed with cross-entropy: these are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from jaxtyping import Float, Int

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.options import check_range
from mdlm_probe.likelihood.placements import placements_nll
from mdlm_probe.tuning.corruption import Corrupted, Moment, Sample, Tokens, cross_entropy
from mdlm_probe.tuning.placement import Placement, SlackOption, check_slack, hidden_row

if TYPE_CHECKING:
    from torch import Tensor


def plan(
    *,
    smax: SlackOption = 0.2,
    ctc_weight: Annotated[
        float, "weight of the alignment-flexible loss; the rest is cross-entropy on the placement"
    ] = 0.5,
) -> Ctc:
    """The objective.

    Raises:
        ProbeError: naming the option.
    """
    check_slack(smax)
    check_range(0, 1, "between 0 and 1", ctc_weight=ctc_weight)
    return Ctc(smax, ctc_weight)


@dataclass(frozen=True)
class Runs(Corrupted):
    """A canvas with its maximal runs of masks.

    Attributes:
        slots: masks of each run.
        sizes: tokens of the answer in each run.
        tokens: of the answer, run after run: those that are masked.
        slack: id of `<slack>`.
    """

    slots: Int[np.ndarray, " runs"]
    sizes: Int[np.ndarray, " runs"]
    tokens: Int[np.ndarray, " tokens"]
    slack: int


@dataclass(frozen=True)
class Ctc:
    """The objective with its options; see `plan`."""

    smax: float
    ctc_weight: float
    needs_slack: bool = True

    def corrupt(self, sample: Sample, tokens: Tokens, moment: Moment) -> Runs:
        """The answer on its canvas, some of whose slots are masked, and the runs of these."""
        placed, row = hidden_row(sample, tokens, moment, self.smax)
        slots, sizes = runs_of(placed)
        own = placed.canvas[placed.hidden & placed.filled]
        return Runs(**vars(row), slots=slots, sizes=sizes, tokens=own, slack=tokens.slack)

    def loss(
        self, logits: Float[Tensor, "1 places vocab"], item: Runs
    ) -> dict[str, Float[Tensor, ""]]:
        """A mixture of both losses over share x tokens of the answer, then each, in nats.

        Without slots to spare both are the same.
        """
        ce, ctc = cross_entropy(logits, item), item.weight * runs_nll(logits[0], item).sum()
        return {"loss": self.ctc_weight * ctc + (1 - self.ctc_weight) * ce, "ctc": ctc, "ce": ce}


def runs_of(placed: Placement) -> tuple[Int[np.ndarray, " runs"], Int[np.ndarray, " runs"]]:
    """The maximal runs of masks on a canvas: slots, and tokens of the answer in them."""
    edges = np.flatnonzero(np.diff(placed.hidden, prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]
    before = np.concatenate([[0], np.cumsum(placed.filled)])
    return ends - starts, before[ends] - before[starts]


def runs_nll(logits: Float[Tensor, "slots vocab"], item: Runs) -> Float[Tensor, " runs"]:
    """The negative log-probability of each run, in nats: of all its placements together.

    Only the columns of `<slack>` and of the run's own tokens are read.

    Raises:
        ProbeError: a run with more tokens than slots.
    """
    if len(bad := np.flatnonzero(item.sizes > item.slots)):
        raise ProbeError(
            f"{len(bad)} runs of masks are too short for their tokens, the first with "
            f"{item.slots[bad[0]]} slots for {item.sizes[bad[0]]} tokens",
            expected="a slot for every token",
        )
    slots = _padded(np.arange(item.slots.sum()), item.slots).to(logits.device)
    tokens = _padded(item.tokens, item.sizes).to(logits.device)
    whole = logits.logsumexp(-1)
    slack = (logits[:, item.slack] - whole)[slots]
    own = logits[slots[:, :, None], tokens[:, None, :]] - whole[slots][:, :, None]
    import torch

    counts = torch.from_numpy(item.slots), torch.from_numpy(item.sizes)
    return placements_nll(slack, own, *(count.to(logits.device) for count in counts))


def _padded(values: Int[np.ndarray, " values"], counts: Int[np.ndarray, " runs"]) -> Tensor:
    """Values in rows of these lengths, padded with 0."""
    import torch

    held = np.arange(counts.max(initial=0)) < counts[:, None]
    out = np.zeros(held.shape, np.int64)
    out[held] = values
    return torch.from_numpy(out)
