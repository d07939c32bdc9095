"""Keys and values kept between passes: what a network of transformers writes them to and reads
them from, and what a fed token sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mdlm_probe.models._kv_cache import KVCache


class Cache:
    """The keys and values of one pass: new ones are put in their places, all of them come back.

    It answers what the attention layers of transformers ask of their own caches, and no more. A
    layer's keys and values are written as soon as they are there, in place where the sequence
    hasn't grown; a pass that breaks off may be repeated, since it writes the same places again.

    Args:
        held: one a row; `layers` is empty, or has one (keys, values) a layer, each
            [kv_heads, positions, head_dim], which are those of the first positions.
        lengths: tokens of each row.
        fresh: positions of the tokens fed, ascending in each row; None: all of them.

    Source: ours. What masked models make of it is the approximation of dKV-Cache
    (arXiv 2505.15781) and Fast-dLLM (arXiv 2505.22618).
    """

    def __init__(
        self, held: Sequence[KVCache], lengths: list[int], fresh: Int[Tensor, "batch fed"] | None
    ) -> None:
        assert len(held) == len(lengths), f"{len(held)} held for {len(lengths)} sequences"
        self.held, self.lengths, self.fresh = held, lengths, fresh
        self._longest = max(lengths)
        if fresh is None:
            self._tails = [0] * len(lengths)
        else:
            self._tails = [_tail(*row) for row in zip(fresh.tolist(), lengths, strict=True)]

    def update(
        self,
        keys: Float[Tensor, "batch heads fed size"],
        values: Float[Tensor, "batch heads fed size"],
        layer: int,
        *_args: Any,
        **_kwargs: Any,
    ) -> tuple[Float[Tensor, "batch heads length size"], Float[Tensor, "batch heads length size"]]:
        """Keys and values of all positions of one layer, zero where rows are padded.

        Args:
            keys, values: of the tokens fed.
            layer: its number; layers come in order.
        """
        for row, one in enumerate(self.held):
            pair = self._own(keys[row], row, layer, 0), self._own(values[row], row, layer, 1)
            one.layers[layer : layer + 1] = [pair]
        if self.fresh is None:
            return keys, values
        return self._joined(layer, 0), self._joined(layer, 1)

    def get_seq_length(self, _layer: int = 0) -> int:
        """Positions that come before the tokens fed: none, since positions are always told."""
        return 0

    def get_query_offset(self, _layer: int = 0) -> int:
        """The position of the first token fed, where no mask tells: all tokens are fed then."""
        return 0

    def get_mask_sizes(self, fed: int, _layer: int = 0) -> tuple[int, int]:
        """Positions that `update` gives back for so many tokens fed, and the first of them."""
        return fed if self.fresh is None else self._longest, 0

    def _own(
        self, new: Float[Tensor, "heads fed size"], row: int, layer: int, which: int
    ) -> Float[Tensor, "heads own size"]:
        """One row's keys (0) or values (1) of a layer, with the new ones in their places."""
        length, layers = self.lengths[row], self.held[row].layers
        if self.fresh is None:
            # a copy of its own: a view would keep the whole batch in memory
            return new[:, :length].clone(memory_format=torch.contiguous_format)
        own: Tensor = layers[layer][which] if layer < len(layers) else new[:, :0]
        have = own.shape[1]
        assert self._tails[row] <= have <= length, (
            f"keys and values of {have} positions are held, those from {self._tails[row]} on are "
            f"fed, and the sequence has {length}"
        )
        if have < length:
            grown = own.new_empty(own.shape[0], length, own.shape[2])
            grown[:, :have] = own
            own = grown
        own[:, self.fresh[row]] = new
        return own

    def _joined(self, layer: int, which: int) -> Float[Tensor, "batch heads length size"]:
        """All rows of a layer, padded; a single row is handed out as it is held."""
        parts: list[Tensor] = [one.layers[layer][which] for one in self.held]
        if len(parts) == 1:
            return parts[0][None]
        # zeros: what is there by chance may be no number, and no mask hides that
        full = parts[0].new_zeros(len(parts), parts[0].shape[0], self._longest, parts[0].shape[2])
        for row, part in enumerate(parts):
            full[row, :, : part.shape[1]] = part
        return full


def _tail(fresh: list[int], length: int) -> int:
    """The position from which on all are fed: what is held must reach up to there."""
    assert fresh == sorted(set(fresh)), "fed positions don't ascend"
    assert not fresh or 0 <= fresh[0] <= fresh[-1] < length, f"a fed position outside 0..{length}"
    start = length
    for position in reversed(fresh):
        if position != start - 1:
            break
        start = position
    return start


def visible(
    fresh: Int[Tensor, "batch fed"], lengths: Int[Tensor, " batch"], longest: int, *, causal: bool
) -> Bool[Tensor, "batch 1 fed length"] | None:
    """Whether a fed token sees a position: none of the padding, and if causal none to its right.

    None where everything is seen: fast kernels. With causal attention one token a row is fed then.
    """
    places = torch.arange(longest, device=fresh.device)
    ends = fresh + 1 if causal else lengths[:, None].expand_as(fresh)
    seen = places < ends[:, None, :, None]
    return None if bool(seen.all()) else seen


def fed_rows(
    fresh: Int[Tensor, "batch fed"], rows: Int[Tensor, " asked"], places: Int[Tensor, " asked"]
) -> Int[Tensor, " asked"]:
    """Where among the fed tokens of `rows` those at `places` are."""
    found = fresh[rows] == places[:, None]
    missing = ~found.any(1)
    assert not missing.any(), (
        f"the network's row {int(places[missing][0])} is asked, and its token wasn't fed: with a "
        "shift, the position before an asked one has to be"
    )
    return found.int().argmax(1)
