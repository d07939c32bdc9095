"""Block-causal attention: which tokens see which.

A token sees its own block, in both directions, and all blocks before it. Position p lies in block
(p - origin) // block, rounded down: with an origin, the first block is the short one.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mdlm_probe.models._device import on


def numbers(
    places: Int[Tensor, "batch places"], origins: Int[Tensor, " batch"] | None, block: int
) -> Int[Tensor, "batch places"]:
    """The block of every position; negative before the origin.

    Args:
        places: positions, on any device.
        origins: offset of block boundaries in each row; None: 0 in all.
        block: tokens of a block.
    """
    offset = 0 if origins is None else on(places.device, origins)[:, None]
    return torch.div(places - offset, block, rounding_mode="floor")


def seen(
    places: Int[Tensor, "batch computed"],
    lengths: Int[Tensor, " batch"],
    longest: int,
    origins: Int[Tensor, " batch"] | None,
    block: int,
) -> Bool[Tensor, "batch 1 computed longest"]:
    """Whether a token sees a position: it is no padding, and in no later block.

    Never None: without a mask a network of transformers is causal on a cache, silently.

    Args:
        places: positions of the tokens.
        lengths: tokens of each row; what lies beyond is padding.
        longest: positions of the keys, from 0.
        origins, block: as in `numbers`.
    """
    keys = torch.arange(longest, device=places.device).expand(len(places), longest)
    earlier = numbers(keys, origins, block)[:, None] <= numbers(places, origins, block)[..., None]
    real = keys < on(places.device, lengths)[:, None]
    return (earlier & real[:, None])[:, None]
