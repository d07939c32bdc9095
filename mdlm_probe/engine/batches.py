"""Batches: queries that go through the network together, and what may be asked at all."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from mdlm_probe.core.errors import ProbeError, TooLong
from mdlm_probe.engine import limits
from mdlm_probe.engine.queries import Query
from mdlm_probe.models._checkpoint import Checkpoint


def check(query: Query, entry: Checkpoint) -> None:
    """Refuses a query that the model can't answer: too long, or asked where it predicts nothing."""
    length = len(query.ids)
    if length > entry.context:
        raise TooLong(
            f"a prompt has {length} tokens, in cell {query.name}",
            expected=f"at most {entry.context}, the context of '{entry.name}'",
            hint="lower the number of shots or of masks",
            reason=beyond(entry),
        )
    check_blocks(query, entry.geometry.get("vocab", 0))
    low, high = (1, length) if entry.kind == "causal" else (entry.shift, length - 1)
    assert all(low <= p <= high for p in query.positions), f"position outside {low}..{high}"
    assert 0 <= query.origin < max(1, entry.block), f"no origin of blocks: {query.origin}"
    assert query.guidance is None or query.kv_cache is None, "guided passes have no cache"
    assert query.positions or not query.readouts, "nothing is asked, and something is to be read"
    assert not query.clean or (query.computed and query.kv_cache is None), "which blocks beside it"
    plain = query.kv_cache is None and query.guidance is None and not query.clean
    assert plain or not query.opens_attention, "attention is opened in plain passes"
    assert query.computed or not query.read_only, "what is read of a cache where all is computed"


def beyond(entry: Checkpoint) -> str:
    """Why cells with longer sequences than a model reads are left out."""
    return f"longer than its context of {entry.context} tokens"


def check_blocks(query: Query, vocab: int) -> None:
    """Refuses blocks of more distributions than rows may take memory."""
    count = max((len(places) for _, places, _ in query.blocks), default=0)
    if (size := 4 * count * vocab) > limits.ROW_BYTES:
        raise ProbeError(
            f"{count} distributions of {vocab} tokens take {size / 2**20:.0f} MiB together,"
            f" in cell {query.name}",
            expected=f"at most {limits.ROW_BYTES / 2**20:.0f} MiB",
            hint="compare fewer positions, with --grid",
        )


def distinct(queries: Sequence[Query], entry: Checkpoint) -> tuple[list[Query], list[int]]:
    """What goes through the network for queries, and which of it answers each of them.

    Nothing after its last asked position can matter to a causal model's answer: that is cut off,
    and queries that don't differ in what is left are one.
    """
    if entry.kind != "causal":
        return list(queries), list(range(len(queries)))
    known: dict[Hashable, int] = {}
    kept: list[Query] = []
    answered = []
    for query in queries:
        alike: Hashable = len(kept)  # passes that keep keys and values are whole, and their own
        plain = query.kv_cache is None and query.guidance is None and not query.opens_attention
        if plain and query.positions:
            query = replace(query, ids=query.ids[: max(query.positions)])
            alike = query.ids, query.positions, query.readouts, query.blocks
        if alike not in known:
            known[alike] = len(kept)
            kept.append(query)
        answered.append(known[alike])
    return kept, answered


def _kind(query: Query) -> tuple[bool, bool, bool, bool, bool, int, bool]:
    """What queries of one batch have in common: the same kind of pass."""
    cached, guided, beside = query.kv_cache is not None, bool(query.guidance), bool(query.clean)
    computed = len(query.computed) * (cached or beside)
    kind = guided, cached, query.read_only, beside, query.count_mask, computed
    return *kind, query.opens_attention


def taken(query: Query, entry: Checkpoint) -> int:
    """Padded tokens that a row with this query is counted as, by the memory that it takes.

    Those of the sequence, and what block-causal attention takes besides: a mask of every pair of
    tokens. A pass that reads a cache computes few tokens, and copies keys and values of one layer
    at a time. Attention in the open has a layer's scores and weights of every pair and head.
    """
    length = len(query.ids)
    if query.opens_attention:
        pairs = OPENED * entry.geometry.get("heads", 1) * length**2
        return length + math.ceil(pairs / _mask_tokens(entry.geometry))
    if not entry.block:
        return length
    if query.clean:
        length = computed = query.network_tokens
    else:
        computed = len(query.computed) or length
    copied = length // COPIES if query.read_only else length - computed
    return computed + copied + math.ceil(computed * length / _mask_tokens(entry.geometry))


OPENED = 4
"""Numbers in float32 of each pair of tokens and head, where attention is computed in the open."""

COPIES = 4
"""Positions whose keys and values of one layer take what the pass of one token takes, or less."""


def _mask_tokens(geometry: dict[str, int]) -> int:
    """How many pairs of tokens have masks of the size that the pass of one token takes.

    A token takes about 8 x hidden + 3 x intermediate numbers at a time; a pair a byte, and a number
    where kernels add masks to scores: at most two bytes for two, or five for four.
    """
    width = 8 * geometry.get("hidden", 64) + 3 * geometry.get("intermediate", 128)
    return width * 2 // 3


def spans(
    queries: Sequence[Query], budget: int, entry: Checkpoint
) -> tuple[list[int], list[slice]]:
    """Queries sorted by kind of pass and length, and the runs of them that make batches, last
    first. Under a masked model prompts of one length that fill a batch go by themselves: without
    padding there is no mask of attention, and faster kernels do.
    """
    size = [taken(query, entry) for query in queries]
    order = sorted(range(len(queries)), key=lambda i: (_kind(queries[i]), size[i]))
    alike = entry.attention != "bidirectional"  # others have a mask always, or never
    spans: list[slice] = []
    begin = 0
    for _, part in groupby(order, key=lambda i: _kind(queries[i])):
        lengths = [size[i] for i in part]
        for count in [len(lengths)] if alike else _of_one_length(lengths, budget):
            own, lengths = lengths[:count], lengths[count:]
            spans += [slice(begin + s.start, begin + s.stop) for s in pack(own, budget)]
            begin += count
    return order, spans[::-1]


def _of_one_length(lengths: Sequence[int], budget: int) -> Iterator[int]:
    """How many of sorted lengths belong together: those of one length that fill a batch, or all
    between such ones.
    """
    between = 0
    for length, part in groupby(lengths):
        count = len(list(part))
        if length * count < budget:
            between += count
            continue
        if between:
            yield between
        yield count
        between = 0
    if between:
        yield between


def pack(lengths: Sequence[int], budget: int) -> list[slice]:
    """Cuts sorted lengths into as few runs as fit the budget when padded, of about equal cost.

    A run is never empty; a single length above the budget makes a run of its own.
    """
    runs = _greedy(lengths, budget)
    low, high = max(lengths, default=1), budget
    # the smallest budget that needs no more runs spreads the work evenly: no tiny last batch
    while low < high:
        middle = (low + high) // 2
        if len(_greedy(lengths, middle)) <= len(runs):
            high = middle
        else:
            low = middle + 1
    return _greedy(lengths, high) if runs and high >= low else runs


def _greedy(lengths: Sequence[int], budget: int) -> list[slice]:
    runs, start = [], 0
    for i, length in enumerate(lengths):
        if i > start and length * (i + 1 - start) > budget:
            runs.append(slice(start, i))
            start = i
    if len(lengths) > start:
        runs.append(slice(start, len(lengths)))
    return runs
