"""Batches: queries that go through the network together, and what may be asked at all."""

from __future__ import annotations

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
        if query.kv_cache is None and query.guidance is None and query.positions:
            query = replace(query, ids=query.ids[: max(query.positions)])
            alike = query.ids, query.positions, query.readouts, query.blocks
        if alike not in known:
            known[alike] = len(kept)
            kept.append(query)
        answered.append(known[alike])
    return kept, answered


def _kind(query: Query) -> tuple[bool, bool, int]:
    """What queries of one batch have in common: the same kind of pass."""
    cached = query.kv_cache is not None
    return query.guidance is not None, cached, len(query.computed) if cached else 0


def spans(queries: Sequence[Query], budget: int, kind: str) -> tuple[list[int], list[slice]]:
    """Queries sorted by kind of pass and length, and the runs of them that make batches, last
    first. Under a masked model prompts of one length that fill a batch go by themselves: without
    padding there is no mask of attention, and faster kernels do.
    """
    order = sorted(range(len(queries)), key=lambda i: (_kind(queries[i]), len(queries[i].ids)))
    spans: list[slice] = []
    begin = 0
    for _, part in groupby(order, key=lambda i: _kind(queries[i])):
        lengths = [len(queries[i].ids) for i in part]
        for count in [len(lengths)] if kind == "causal" else _of_one_length(lengths, budget):
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
