"""Readings of attention: reductions of one layer's weights, and how they come out of a pass.

Weights are [heads, length, length]: of each head and query position the shares that it gives to
key positions, which sum to one. Each reading is a function of this file that is done on the device
as soon as a layer has its weights; `queries.Attention` names it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mdlm_probe.engine.queries import Answer, Attention, Query
from mdlm_probe.engine.transfer import Copies
from mdlm_probe.models._device import on

Weights = Float[Tensor, "heads length length"]


def received(weights: Weights, queries: tuple[int, ...]) -> Float[Tensor, " length"]:
    """The attention that each key receives: the mean over heads and some queries; () for all.

    Sums to one. Times the length, and over all queries, it is the cumulative attention score of
    arXiv 2510.15731.
    """
    own = weights[:, list(queries)] if queries else weights
    return own.mean((0, 1))


def strongest(weights: Weights, begins: tuple[int, ...]) -> Float[Tensor, " length"]:
    """The share of heads in which each key receives most beyond its even share.

    Args:
        weights: of a layer.
        begins: the first query that sees each key. An even share is what a key receives where every
            query gives as much to all that it sees: of causal attention the first keys' is large.
    """
    above = weights.mean(1) - received(even_weights(begins, weights.device), ())
    heads, length = above.shape
    return torch.bincount(above.argmax(1), minlength=length).to(weights.dtype) / heads


def even_weights(
    begins: tuple[int, ...], device: torch.device | str = "cpu"
) -> Float[Tensor, "1 length length"]:
    """Attention that every query gives evenly to all that it sees, as that of a single head.

    Args:
        begins: the first query that sees each key.
        device: where they are made.
    """
    places = torch.arange(len(begins), device=device)
    seen = places[:, None] >= on(places.device, torch.tensor(begins))
    return (seen / seen.sum(1, keepdim=True))[None]


def to_groups(
    weights: Weights, queries: tuple[int, ...], groups: tuple[tuple[int, ...], ...]
) -> Float[Tensor, " groups"]:
    """The share of some queries' attention that goes to each group of keys; () for all queries."""
    given = received(weights, queries)
    return torch.stack([given[list(group)].sum() for group in groups])


def by_distance(
    weights: Weights, queries: tuple[int, ...], starts: tuple[int, ...]
) -> Float[Tensor, " distances"]:
    """The share of some queries' attention by distance in positions, to either side.

    Args:
        weights: of a layer.
        queries: whose; () for all.
        starts: the least distance of each class, ascending, from 0; the last has no end.
    """
    length = weights.shape[-1]
    asked = on(weights.device, torch.tensor(queries or range(length)))
    far = (asked[:, None] - torch.arange(length, device=weights.device)).abs()
    kind = torch.bucketize(far, on(weights.device, torch.tensor(starts)), right=True) - 1
    own = weights[:, asked].mean(0)
    found = own.new_zeros(len(starts))
    return found.index_add_(0, kind.flatten(), own.flatten()) / len(asked)


# ---------------------------------------------------------------------- out of a pass


class Layers:
    """What is read of the attention of a batch, layer by layer.

    Args:
        batch: the queries.
        device: where it is put together: layers may be on several.
    """

    def __init__(self, batch: Sequence[Query], device: str) -> None:
        self._batch, self._device = batch, device
        self._found: list[dict[Attention, list[Tensor]]] = [
            {asked: [] for asked in query.attention} for query in batch
        ]

    def take(self, row: int, layer: int, weights: Weights) -> None:
        """Reads a layer of a query; layers come in their order."""
        for asked, found in self._found[row].items():
            assert len(found) == layer, "a layer was left out"
            reduce = getattr(sys.modules[__name__], asked.name)
            found.append(reduce(weights, *asked.args).float().to(self._device))

    def beside(self, answers: Callable[[], list[Answer]]) -> Callable[[], list[Answer]]:
        """Answers together with what was read of attention, both waited for."""
        tensors = [torch.stack(found) for own in self._found for found in own.values()]
        if not tensors:
            return answers
        copies = Copies(tensors)
        return lambda: self._together(answers(), copies.arrays())

    def _together(self, answers: list[Answer], arrays: list[np.ndarray]) -> list[Answer]:
        left = iter(arrays)
        return [
            Answer(answer | {asked: next(left) for asked in query.attention})
            for query, answer in zip(self._batch, answers, strict=True)
        ]
