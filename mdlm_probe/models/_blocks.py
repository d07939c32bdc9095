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


def seen_beside(
    places: Int[Tensor, "batch computed"],
    lengths: Int[Tensor, " batch"],
    longest: int,
    origins: Int[Tensor, " batch"] | None,
    block: int,
) -> Bool[Tensor, "batch 1 both both"]:
    """What is seen where noised tokens and a clean text go through the network side by side.

    A noised token sees the noised tokens of its own block, and the clean blocks before it; a clean
    token sees the clean text as `seen` says. So blocks are noised independently, all in one pass.

    Args:
        places: positions of the noised tokens, which come first.
        lengths: clean tokens of each row, from position 0.
        longest: columns of the clean text.
        origins, block: as in `numbers`.

    Source: BD3-LM (arXiv 2503.09573), whose mask this is, for the blocks that are noised.
    """
    count = places.shape[1]
    at = torch.arange(longest, device=places.device).expand(len(places), longest)
    own = numbers(torch.cat([places, at], dim=1), origins, block)
    query, key = own[..., None], own[:, None]
    columns = torch.arange(count + longest, device=places.device)
    clean = columns >= count
    real = columns < count + on(places.device, lengths)[:, None]
    among_noised = (query == key) & ~clean[:, None] & ~clean
    of_clean = torch.where(clean[:, None], key <= query, key < query) & clean & real[:, None]
    # padding sees itself: what saw nothing would be no number
    itself = columns[:, None] == columns
    return (among_noised | of_clean | itself)[:, None]
