"""The masked-diffusion objective: hide a random share of the tokens, weigh by 1/share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mdlm_probe.tuning.corruption import SMALLEST


def shares(
    count: int, generator: torch.Generator, low: float = SMALLEST, high: float = 1.0
) -> Float[Tensor, " count"]:
    """Shares of tokens to hide, uniform in (low, high], one for each row of a batch.

    Stratified: each `1/count` of the range gets one row, in random order, which leaves every row's
    distribution uniform and lowers the variance of the mean. Source: LLaDA, arXiv 2502.09992,
    appendix A (uniform share); the strata are ours.
    """
    spread = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    spread = spread[torch.randperm(count, generator=generator)]
    return low + (high - low) * spread


def hide(
    share: Float[Tensor, " batch"],
    maskable: Bool[Tensor, "batch length"],
    generator: torch.Generator,
) -> Bool[Tensor, "batch length"]:
    """Which tokens to hide: each maskable one independently with its row's share."""
    draws = torch.rand(maskable.shape, generator=generator)
    return (draws < share[:, None]) & maskable


def cover(
    ids: Int[Tensor, "batch length"], hidden: Bool[Tensor, "batch length"], mask_id: int
) -> Int[Tensor, "batch length"]:
    """What the model sees: the hidden tokens are replaced by the mask."""
    return ids.masked_fill(hidden, mask_id)


def weights(
    hidden: Bool[Tensor, "batch length"],
    share: Float[Tensor, " batch"],
    maskable: Bool[Tensor, "batch length"],
) -> Float[Tensor, "batch length"]:
    """The weight of each token's loss: 1 / (share x maskable tokens x rows) where hidden, else 0.

    Summed with these weights, the losses estimate the bound on the negative log-likelihood per
    maskable token. Source: LLaDA, arXiv 2502.09992, equation 3.
    """
    scale = share * maskable.sum(1).clamp(min=1) * len(hidden)
    return hidden / scale[:, None]


def even_weights(hidden: Bool[Tensor, "batch length"]) -> Float[Tensor, "batch length"]:
    """The same weight for every hidden token of the batch: 1 in all, or 0 if none is hidden."""
    return hidden / hidden.sum().clamp(min=1)


def loss(
    logits: Float[Tensor, "hidden vocab"],
    targets: Int[Tensor, " hidden"],
    weight: Float[Tensor, " hidden"],
) -> Float[Tensor, ""]:
    """The weighted sum of the hidden tokens' negative log-likelihoods, in nats.

    Visible tokens are not handed over at all, so that the output layer doesn't run on them.
    """
    nll = F.cross_entropy(logits.float(), targets, reduction="none")
    return (nll * weight).sum()
