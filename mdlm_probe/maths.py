"""Pure tensor functions. Those that take `rows`, log-probabilities by position, are readouts.

Readouts that give one value a row serve `queries.Readout`; those that put all rows of a query
together (`divergences`, `mean`) serve `queries.Block`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def entropy(rows: Float[Tensor, "asked vocab"]) -> Float[Tensor, " asked"]:
    """Shannon entropy of every row, in nats; impossible tokens add nothing."""
    return -torch.where(rows.isneginf(), 0.0, rows.exp() * rows).sum(-1)


def top_id(rows: Float[Tensor, "asked vocab"]) -> Int[Tensor, " asked"]:
    """The most probable token of every row; the lowest id among equals."""
    return rows.argmax(-1)


def top_logprob(rows: Float[Tensor, "asked vocab"]) -> Float[Tensor, " asked"]:
    """Log-probability of the most probable token of every row, in nats."""
    return rows.amax(-1)


def top_ids(rows: Float[Tensor, "asked vocab"], count: int) -> Int[Tensor, "asked count"]:
    """The most probable tokens of every row, most probable first; all, of a small vocabulary."""
    return rows.topk(min(count, rows.shape[-1])).indices


def top_logprobs(rows: Float[Tensor, "asked vocab"], count: int) -> Float[Tensor, "asked count"]:
    """Log-probabilities of the most probable tokens of every row, in nats, largest first."""
    return rows.topk(min(count, rows.shape[-1])).values


def chosen(rows: Float[Tensor, "asked vocab"], *ids: int) -> Float[Tensor, "asked chosen"]:
    """Log-probabilities of the chosen tokens, in nats."""
    return rows[:, list(ids)]


def mass(rows: Float[Tensor, "asked vocab"], *ids: int) -> Float[Tensor, " asked"]:
    """Probability that the token is one of a set, between 0 and 1."""
    return rows[:, list(dict.fromkeys(ids))].exp().sum(-1)


def drawn(rows: Float[Tensor, "asked vocab"], share: float) -> Int[Tensor, " asked"]:
    """The token at a share (0 to 1) of every row's cumulative probability, in the order of ids.

    With an evenly random share, a sample of the row.
    """
    cumulative = rows.exp().cumsum(-1)
    # a share that float32 rounds to 1 would fall behind the last token
    at = cumulative[:, -1:] * min(share, 1 - 2**-23)
    return torch.searchsorted(cumulative, at, right=True)[:, 0].clamp(max=rows.shape[-1] - 1)


def whole(rows: Float[Tensor, "asked vocab"]) -> Float[Tensor, "asked vocab"]:
    """The rows themselves: vocabulary-sized, so ask for few."""
    return rows


# ---------------------------------------------------------------------- rows together


TEMPORARIES = 20
"""Tensors of pairs x columns that `divergences` holds at a time, at most; measured on a CPU."""


def mean(rows: Float[Tensor, "asked vocab"]) -> Float[Tensor, " vocab"]:
    """Probabilities (no logarithms) of the rows' even mixture."""
    return rows.exp().mean(0)


def divergences(
    rows: Float[Tensor, "asked vocab"], pairs: tuple[tuple[int, int], ...], memory: int
) -> Float[Tensor, "pairs 2"]:
    """Jensen-Shannon divergence (nats) and total variation (0 to 1) of pairs of rows.

    With m = (p + q) / 2 and t = (p - q) / 2m, a token adds m/2 ((1+t) ln(1+t) + (1-t) ln(1-t)) to
    the first and m |t| to the second: nothing large cancels where p and q are close.

    Args:
        rows: log-probabilities.
        pairs: places of two rows each.
        memory: bytes that intermediate results may take. Pairs x vocabulary is done in pieces.
    """
    found = rows.new_zeros(len(pairs), 2)
    fitting = max(1, memory // (TEMPORARIES * rows.element_size()))
    some = min(len(pairs), fitting)
    columns = max(1, fitting // (some + len(rows)))
    for begin in range(0, rows.shape[-1], columns):
        shares = rows[:, begin : begin + columns].exp()
        for first in range(0, len(pairs), some):
            p, q = (shares[list(side)] for side in zip(*pairs[first : first + some], strict=True))
            middle, gap = (p + q) / 2, (p - q) / 2
            tilt = gap / middle.clamp(min=torch.finfo(middle.dtype).tiny)
            logs = _xlogx(1 + tilt, tilt) + _xlogx(1 - tilt, -tilt)
            part = torch.stack([(middle * logs).sum(-1) / 2, gap.abs().sum(-1)], dim=-1)
            found[first : first + some] += part
    return found


def _xlogx(
    value: Float[Tensor, "pairs columns"], less: Float[Tensor, "pairs columns"]
) -> Float[Tensor, "pairs columns"]:
    """x ln x of x = 1 + less, 0 at 0."""
    return torch.where(value > 0, value * torch.log1p(less.clamp(min=-1 + 2**-24)), 0.0)
