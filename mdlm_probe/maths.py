"""Pure tensor functions. Those that take `rows`, log-probabilities by position, are readouts."""

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
    """The most probable tokens of every row, most probable first."""
    return rows.topk(count).indices


def top_logprobs(rows: Float[Tensor, "asked vocab"], count: int) -> Float[Tensor, "asked count"]:
    """Log-probabilities of the most probable tokens of every row, in nats, largest first."""
    return rows.topk(count).values


def chosen(rows: Float[Tensor, "asked vocab"], *ids: int) -> Float[Tensor, "asked chosen"]:
    """Log-probabilities of the chosen tokens, in nats."""
    return rows[:, list(ids)]


def mass(rows: Float[Tensor, "asked vocab"], *ids: int) -> Float[Tensor, " asked"]:
    """Probability that the token is one of a set, between 0 and 1."""
    return rows[:, list(dict.fromkeys(ids))].exp().sum(-1)


def whole(rows: Float[Tensor, "asked vocab"]) -> Float[Tensor, "asked vocab"]:
    """The rows themselves: vocabulary-sized, so ask for few."""
    return rows
