"""Random numbers of a place: the same whatever else is drawn, on any device. SplitMix64's.

Each pair of a seed and a position has a sequence of its own, of which any part can be made alone.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15
MIXERS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
LAST = 31
DIGITS = 52
"""Bits of a random number: with half a step added, float64 holds them all, and never 0 or 1."""


def gumbel(
    seed: int,
    positions: Int[Tensor, " places"],
    count: int,
    first: Int[Tensor, " places"] | int = 0,
) -> Float[Tensor, "places count"]:
    """Gumbel noise in float64, of `uniform`'s numbers."""
    return -(-uniform(seed, positions, count, first).log()).log()


def uniform(
    seed: int,
    positions: Int[Tensor, " places"],
    count: int,
    first: Int[Tensor, " places"] | int = 0,
) -> Float[Tensor, "places count"]:
    """Evenly random float64 numbers between 0 and 1, both excluded, a row for each position.

    Args:
        seed, positions: each pair has a sequence of its own.
        count: numbers of a row.
        first: the place of a row's first number in its sequence.
    """
    start = _mixed(positions.long() * _signed(GOLDEN) + _signed(seed))
    start = start + (first * _signed(GOLDEN) if torch.is_tensor(first) else _signed(first * GOLDEN))
    counts = torch.arange(1, count + 1, device=positions.device) * _signed(GOLDEN)
    bits = _shifted(_mixed(start[:, None] + counts), 64 - DIGITS)
    return (bits.double() + 0.5) * 2.0**-DIGITS


def _mixed(numbers: Int[Tensor, " ..."]) -> Int[Tensor, " ..."]:
    for shift, factor in MIXERS:
        numbers = (numbers ^ _shifted(numbers, shift)) * _signed(factor)
    return numbers ^ _shifted(numbers, LAST)


def _shifted(numbers: Int[Tensor, " ..."], places: int) -> Int[Tensor, " ..."]:
    """To the right without the sign, which torch keeps."""
    return (numbers >> places) & ((1 << (64 - places)) - 1)


def _signed(number: int) -> int:
    """The lowest 64 bits as torch holds them."""
    number &= 2**64 - 1
    return number - 2**64 if number >= 2**63 else number
