"""Placements: tokens in their order among the slots of a run of masks, all of them summed.

Source: arXiv 2601.22947; the recursion over each maximal run of masks is ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
    from torch import Tensor

NEVER = -1e30
"""The log-probability of what can't be: finite, since the gradient of -inf - -inf is no number."""


def placements_nll(
    slack: Float[Tensor, "runs slots"],
    own: Float[Tensor, "runs slots tokens"],
    slots: Int[Tensor, " runs"],
    sizes: Int[Tensor, " runs"],
) -> Float[Tensor, " runs"]:
    """The negative log of the sum over all placements that keep the tokens' order, in nats.

    alpha[t, u] = alpha[t-1, u] p(slack | t) + alpha[t-1, u-1] p(y_u | t), in log space. Nothing is
    merged, unlike in speech recognition: a token that comes twice must stand there twice.

    Args:
        slack: log-probability of `<slack>` in each slot.
        own: log-probabilities of the run's tokens in each slot.
        slots, sizes: of each run; what lies beyond is padding.

    Returns:
        Infinity where there are more tokens than slots.
    """
    import torch

    alpha = slack.new_full((len(slots), own.shape[2] + 1), NEVER)
    alpha[:, 0] = 0
    for t in range(slack.shape[1]):
        stay, move = alpha + slack[:, t, None], alpha[:, :-1] + own[:, t]
        moved = torch.cat([stay[:, :1], torch.logaddexp(stay[:, 1:], move)], dim=1)
        alpha = torch.where((t < slots)[:, None], moved, alpha)
    found = -alpha.gather(1, sizes[:, None])[:, 0]
    return found.masked_fill(sizes > slots, torch.inf)


def run_nll(
    own: Float[np.ndarray, "slots tokens"], slack: Float[np.ndarray, " slots"] | None
) -> float:
    """The negative log-probability of a run's tokens in any placement, in nats.

    Args:
        own: log-probabilities of the run's tokens, in their order, in each slot.
        slack: log-probability of `<slack>` in each slot, as `tune ctc` sums them. None: every
            placement is as likely as any other beforehand, and slots without a token aren't read;
            so models that have no `<slack>` can be asked, too. Ours.
    """
    import torch

    slots, tokens = own.shape
    free = np.zeros(slots) if slack is None else slack
    rows = [torch.tensor(np.asarray(one, float)[None]) for one in (free, own)]
    counts = [torch.tensor([count]) for count in (slots, tokens)]
    found = float(placements_nll(rows[0], rows[1], *counts))
    return found + (math.log(math.comb(slots, tokens)) if slack is None else 0.0)


def runs_of(slots: Sequence[int]) -> list[list[int]]:
    """The maximal runs of masked slots, as numbers in the ascending list of these."""
    found: list[list[int]] = []
    for number, slot in enumerate(slots):
        if not number or slot != slots[number - 1] + 1:
            found.append([])
        found[-1].append(number)
    return found
