"""Keys and values kept between passes: what a network of transformers writes them to and reads
them from, and what a computed token sees.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mdlm_probe.models._device import on
from mdlm_probe.models._kv_cache import KVCache


class Cache:
    """The keys and values of one pass: new ones are put in their places, all of them come back.

    It answers what the attention layers of transformers ask of their own caches, and no more. A
    layer's keys and values are written as soon as they are there, in place where the sequence
    hasn't grown; a pass that breaks off may be repeated, since it writes the same places again.

    Args:
        caches: one per row; `layers` is empty, or has one (keys, values) per layer, each
            [kv_heads, positions, head_dim], which are those of the first positions.
        lengths: tokens of each row.
        computed: positions of the tokens in this pass, ascending in each row; None: all.
        device: of keys and values.
        read_only: `caches` stay as they are, so that rows may share one; what they hold beyond the
            computed tokens' own positions is used up to the row's end.

    Source: ours. What masked models make of it is the approximation of dKV-Cache
    (arXiv 2505.15781) and Fast-dLLM (arXiv 2505.22618).
    """

    def __init__(
        self,
        caches: Sequence[KVCache],
        lengths: list[int],
        computed: Int[Tensor, "batch computed"] | None,
        device: torch.device,
        *,
        read_only: bool = False,
    ) -> None:
        assert len(caches) == len(lengths), f"{len(caches)} caches for {len(lengths)} sequences"
        self.caches, self.lengths = caches, lengths
        self.computed = None if computed is None else on(device, computed)
        self._longest, self._read_only = max(lengths), read_only
        assert not (read_only and computed is None), "nothing is read where all is computed"
        if computed is None:
            self._tails = [0] * len(lengths)
        else:
            self._tails = [_tail(*row) for row in zip(computed.tolist(), lengths, strict=True)]

    def update(
        self,
        keys: Float[Tensor, "batch heads computed size"],
        values: Float[Tensor, "batch heads computed size"],
        layer: int,
        *_args: Any,
        **_kwargs: Any,
    ) -> tuple[Float[Tensor, "batch heads length size"], Float[Tensor, "batch heads length size"]]:
        """Keys and values of all positions of one layer, zero where rows are padded.

        Args:
            keys, values: of the computed tokens.
            layer: its number; layers come in order.
        """
        if self._read_only:
            return self._beside(keys, layer, 0), self._beside(values, layer, 1)
        for row, one in enumerate(self.caches):
            pair = self._own(keys[row], row, layer, 0), self._own(values[row], row, layer, 1)
            one.layers[layer : layer + 1] = [pair]
        if self.computed is None:
            return keys, values
        return self._joined(layer, 0), self._joined(layer, 1)

    def get_seq_length(self, _layer: int = 0) -> int:
        """Positions that come before the computed tokens: none, since positions are always told."""
        return 0

    def get_query_offset(self, _layer: int = 0) -> int:
        """The position of the first computed token, where no mask tells: all are computed then."""
        return 0

    def get_mask_sizes(self, computed: int, _layer: int = 0) -> tuple[int, int]:
        """Positions that `update` gives back for so many tokens, and the first of them."""
        return computed if self.computed is None else self._longest, 0

    def _own(
        self, new: Float[Tensor, "heads computed size"], row: int, layer: int, which: int
    ) -> Float[Tensor, "heads own size"]:
        """One row's keys (0) or values (1) of a layer, with the new ones in their places."""
        length, layers = self.lengths[row], self.caches[row].layers
        if self.computed is None:
            # a copy of its own: a view would keep the whole batch in memory
            return new[:, :length].clone(memory_format=torch.contiguous_format)
        own: Tensor = layers[layer][which] if layer < len(layers) else new[:, :0]
        have = own.shape[1]
        self._check_held(row, have, length)
        if have < length:
            grown = own.new_empty(own.shape[0], length, own.shape[2])
            grown[:, :have] = own
            own = grown
        own[:, self.computed[row].to(own.device)] = new  # layers may be on several cards
        return own

    def _check_held(self, row: int, have: int, most: int) -> None:
        assert self._tails[row] <= have <= most, (
            f"keys and values of {have} positions are cached, those from {self._tails[row]} on "
            f"computed, and the sequence has {self.lengths[row]}"
        )

    def _beside(
        self, new: Float[Tensor, "batch heads computed size"], layer: int, which: int
    ) -> Float[Tensor, "batch heads length size"]:
        """What is cached of a layer with the new keys or values put into a copy, for all rows."""
        batch, heads, _, size = new.shape
        kept = list({id(one): one for one in self.caches}.values())
        full = new.new_zeros(len(kept), heads, self._longest, size)
        have = {}
        for number, one in enumerate(kept):
            if layer < len(one.layers):  # else nothing stands before what is computed
                part = one.layers[layer][which]
                full[number, :, : part.shape[1]] = part[:, : self._longest]
                have[id(one)] = part.shape[1]
        for row, one in enumerate(self.caches):
            self._check_held(row, have.get(id(one), 0), sys.maxsize)
        numbers = {id(one): number for number, one in enumerate(kept)}
        whole = full[on(full.device, [numbers[id(one)] for one in self.caches])]
        assert self.computed is not None
        at = self.computed.to(full.device)[:, None, :, None].expand(batch, heads, -1, size)
        return whole.scatter_(2, at, new)

    def _joined(self, layer: int, which: int) -> Float[Tensor, "batch heads length size"]:
        """All rows of a layer, padded; a single row is handed out as it is cached."""
        parts: list[Tensor] = [one.layers[layer][which] for one in self.caches]
        if len(parts) == 1:
            return parts[0][None]
        # zeros: what is there by chance may be no number, and no mask hides that
        full = parts[0].new_zeros(len(parts), parts[0].shape[0], self._longest, parts[0].shape[2])
        for row, part in enumerate(parts):
            full[row, :, : part.shape[1]] = part
        return full


def _tail(computed: list[int], length: int) -> int:
    """The position from which on all are computed: what is cached must reach up to there."""
    assert computed == sorted(set(computed)), "computed positions don't ascend"
    inside = not computed or 0 <= computed[0] <= computed[-1] < length
    assert inside, f"a computed position outside 0..{length}"
    start = length
    for position in reversed(computed):
        if position != start - 1:
            break
        start = position
    return start


def visible(
    computed: Int[Tensor, "batch computed"],
    lengths: Int[Tensor, " batch"],
    longest: int,
    *,
    causal: bool,
) -> Bool[Tensor, "batch 1 computed length"] | None:
    """Whether a computed token sees a position: no padding, and if causal nothing to its right.

    None where everything is seen: fast kernels. With causal attention a row has one token then.
    """
    places = torch.arange(longest, device=computed.device)
    ends = computed + 1 if causal else lengths[:, None].expand_as(computed)
    seen = places < ends[:, None, :, None]
    return None if bool(seen.all()) else seen


def computed_rows(
    computed: Int[Tensor, "batch computed"],
    rows: Int[Tensor, " asked"],
    places: Int[Tensor, " asked"],
) -> Int[Tensor, " asked"]:
    """Where among the computed tokens of `rows` those at `places` are."""
    found = computed[rows] == places[:, None]
    missing = ~found.any(1)
    assert not missing.any(), (
        f"the network's row {int(places[missing][0])} is asked, and its token isn't computed: "
        "with a shift, the position before an asked one has to be"
    )
    return found.int().argmax(1)
