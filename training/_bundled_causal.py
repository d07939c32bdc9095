"""The autoregressive objective: the next token at every place, answers counted again."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


def loss(
    logits: Float[Tensor, "batch length vocab"],
    ids: Int[Tensor, "batch length"],
    special: Bool[Tensor, "batch length"] | None = None,
    extra: float = 0.0,
) -> Float[Tensor, ""]:
    """The mean negative log-likelihood of the next token, in nats.

    Args:
        logits: row i scores token i + 1; the last row is not used.
        ids: the tokens.
        special: tokens (not rows) whose mean loss is added once more.
        extra: the weight of that second mean; without special tokens it adds nothing.

    Source: ours.
    """
    targets = ids[:, 1:]
    nll = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), targets.flatten(), reduction="none")
    total = nll.mean()
    if special is None:
        return total
    again = special[:, 1:].flatten()
    return total + extra * (nll * again).sum() / again.sum().clamp(min=1)
