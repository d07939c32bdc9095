"""Keys and values kept between passes: what a network of transformers writes them to and reads
them from, and what a computed token sees.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mdlm_probe.models._device import on
from mdlm_probe.models._kv_cache import KVCache


class Held:
    """Keys and values of one sequence and layer, among those of others.

    Attributes:
        whole: keys, and values, of several sequences: [sequences, kv_heads, positions, head_dim].
        row: the sequence's.
        length: its positions; what comes after them is zero.
    """

    __slots__ = ("length", "row", "whole")

    def __init__(self, whole: tuple[Tensor, Tensor], row: int, length: int) -> None:
        self.whole, self.row, self.length = whole, row, length

    def __iter__(self) -> Iterator[Tensor]:
        """Its keys, and its values: [kv_heads, length, head_dim]."""
        return (part[self.row, :, : self.length] for part in self.whole)


class Cache:
    """The keys and values of one pass: new ones are put in their places, all of them come back.

    It answers what the attention layers of transformers ask of their own caches, and no more. A
    layer's keys and values are written as soon as they are there, in place where no sequence has
    grown; a pass that breaks off may be repeated, since it writes the same places again.

    Those of a batch are in one tensor of each layer: however many sequences there are, a pass
    writes and reads them at once. It stays in memory as long as one of them.

    Args:
        caches: one per row; `layers` is empty, or has one `Held` per layer, of the first positions.
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
        self._most = [sys.maxsize] * len(lengths) if read_only else lengths
        self._tails: list[int] = []
        if computed is not None:
            self._tails = [_tail(*row) for row in zip(computed.tolist(), lengths, strict=True)]
        self._indices: dict[tuple[tuple[int, ...], torch.device], Tensor] = {}

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
        if self.computed is None:
            self._keep(layer, (self._unpadded(keys), self._unpadded(values)))
            return keys, values
        held = [one.layers[layer] if layer < len(one.layers) else None for one in self.caches]
        self._check(held)
        if not self._read_only and self._fit(held):
            ((whole, _, rows),) = _together(held)
            self._write(whole, rows, (keys, values))
            return self._rows(whole[0], rows), self._rows(whole[1], rows)
        found = self._copied(held, 0, keys), self._copied(held, 1, values)
        self._write(found, tuple(range(len(held))), (keys, values))
        if not self._read_only:
            self._keep(layer, found)
        return found

    def get_seq_length(self, _layer: int = 0) -> int:
        """Positions that come before the computed tokens: none, since positions are always told."""
        return 0

    def get_query_offset(self, _layer: int = 0) -> int:
        """The position of the first computed token, where no mask tells: all are computed then."""
        return 0

    def get_mask_sizes(self, computed: int, _layer: int = 0) -> tuple[int, int]:
        """Positions that `update` gives back for so many tokens, and the first of them."""
        return computed if self.computed is None else self._longest, 0

    def _keep(self, layer: int, whole: tuple[Tensor, Tensor]) -> None:
        for row, (one, length) in enumerate(zip(self.caches, self.lengths, strict=True)):
            one.layers[layer : layer + 1] = [Held(whole, row, length)]

    def _unpadded(
        self, new: Float[Tensor, "batch heads length size"]
    ) -> Float[Tensor, "batch heads length size"]:
        """A copy, zero where rows are padded: what is there by chance may be no number, and no mask
        hides that.
        """
        own = new.clone(memory_format=torch.contiguous_format)
        if min(self.lengths) < self._longest:
            ends = self._index(tuple(self.lengths), own.device)[:, None]
            behind = torch.arange(self._longest, device=own.device) >= ends
            own.masked_fill_(behind[:, None, :, None], 0)
        return own

    def _check(self, held: Sequence[Held | None]) -> None:
        """What is cached reaches up to what is computed, and no further than the sequence."""
        for one, tail, length, most in zip(
            held, self._tails, self.lengths, self._most, strict=True
        ):
            have = one.length if one else 0
            assert tail <= have <= most, (
                f"keys and values of {have} positions are cached, those from {tail} on computed, "
                f"and the sequence has {length}"
            )

    def _fit(self, held: Sequence[Held | None]) -> bool:
        """Whether all rows are in the same tensors, and none of them has grown."""
        known = [one for one in held if one]
        return (
            len(known) == len(held)
            and len({id(one.whole) for one in known}) == 1
            and [one.length for one in known] == self.lengths
        )

    def _write(
        self, whole: tuple[Tensor, Tensor], rows: tuple[int, ...], new: tuple[Tensor, Tensor]
    ) -> None:
        """Puts keys and values of the computed tokens in their places."""
        assert self.computed is not None
        at = self.computed.to(whole[0].device)  # layers may be on several cards
        index = self._index(rows, at.device)[:, None]
        for part, own in zip(whole, new, strict=True):
            part[index, :, at] = own.transpose(1, 2)

    def _rows(
        self, part: Float[Tensor, "sequences heads positions size"], rows: tuple[int, ...]
    ) -> Float[Tensor, "batch heads length size"]:
        """The keys or values of some rows; no copy where they follow each other."""
        first, longest = rows[0], self._longest
        if rows == tuple(range(first, first + len(rows))):
            return part[first : first + len(rows), :, :longest]
        return part[self._index(rows, part.device), :, :longest]

    def _copied(
        self,
        held: Sequence[Held | None],
        which: int,
        new: Float[Tensor, "batch heads computed size"],
    ) -> Float[Tensor, "batch heads length size"]:
        """A copy of the cached keys (0) or values (1) of all rows, with room for the others."""
        full = new.new_zeros(len(held), new.shape[1], self._longest, new.shape[3])
        for whole, places, rows in _together(held):
            part = whole[which][:, :, : self._longest]
            at, index = self._index(places, full.device), self._index(rows, part.device)
            full[at, :, : part.shape[2]] = part[index]
        return full

    def _index(self, numbers: tuple[int, ...], device: torch.device) -> Int[Tensor, " numbers"]:
        """Numbers on a device, put there once in a pass."""
        known = self._indices.get((numbers, device))
        if known is None:
            known = self._indices[numbers, device] = on(device, torch.tensor(numbers))
        return known


def _together(
    held: Sequence[Held | None],
) -> list[tuple[tuple[Tensor, Tensor], tuple[int, ...], tuple[int, ...]]]:
    """The tensors that they are in, with places in the batch and rows in these tensors."""
    groups: dict[int, list[tuple[int, Held]]] = {}
    for place, one in enumerate(held):
        if one is not None:
            groups.setdefault(id(one.whole), []).append((place, one))
    return [
        (own[0][1].whole, tuple(place for place, _ in own), tuple(one.row for _, one in own))
        for own in groups.values()
    ]


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
