"""Ways to the answers about the blocks of a text: all exact, of different cost. No torch.

Blocks that are finished don't change, so a query of a block needs what stands before it only once:

- `Whole`: every query is a pass of all the text up to its block's end;
- `Beside`: one pass takes a query of every block, beside the clean text that they see;
- `Cached`: keys and values of the clean text are kept, and a query's block alone is computed.

Which is taken is a matter of tokens through the network: `cheapest` counts them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from mdlm_probe.engine.queries import Answer, Guidance, Query
from mdlm_probe.models._kv_cache import KVCache

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AskingEngine
    from mdlm_probe.engine.multi_step import MultiStep
    from mdlm_probe.likelihood.items import Item
    from mdlm_probe.likelihood.parts import Part
    from mdlm_probe.models._checkpoint import Checkpoint

Found = TypeVar("Found")


@dataclass(eq=False)
class Context:
    """Keys and values of a context that several continuations share."""

    cache: KVCache = field(default_factory=KVCache)
    stored: bool = False


Contexts = dict[tuple[tuple[int, ...], int], Context]
"""By the context's tokens and the origin of blocks."""


class Way(Protocol):
    """How queries of the blocks of one text are answered."""

    def begin(self) -> MultiStep[None]:
        """What has to be computed before anything is asked; once."""

    def ask(self, queries: Sequence[Query]) -> MultiStep[list[Answer]]:
        """The answers to queries that end with a block each, in their order."""


@dataclass
class Whole:
    """Every query is a pass of its own; see `Way`.

    Attributes:
        origin: where blocks begin.
        guidance: a second pass without the context, or None.
        count_mask: see `Query`.
    """

    origin: int = 0
    guidance: Guidance | None = None
    count_mask: bool = False

    def begin(self) -> MultiStep[None]:
        """Nothing."""
        yield from ()

    def ask(self, queries: Sequence[Query]) -> MultiStep[list[Answer]]:
        """As they are."""
        how: dict[str, Any] = {"guidance": self.guidance, "count_mask": self.count_mask}
        return (yield [replace(query, origin=self.origin, **how) for query in queries])


@dataclass
class Beside:
    """The first query of each block is one pass, the second ones are another; see `Way`."""

    item: Item
    entry: Checkpoint
    origin: int

    def begin(self) -> MultiStep[None]:
        """Nothing."""
        yield from ()

    def ask(self, queries: Sequence[Query]) -> MultiStep[list[Answer]]:
        """Together, as far as they are of different blocks."""
        rows: list[dict[int, int]] = []  # of each pass, the query of each block by its number
        for number, query in enumerate(queries):
            begin, _ = self.entry.block_span(query.positions[0], self.origin)
            row = next((row for row in rows if begin not in row), None)
            if row is None:
                rows.append(row := {})
            row[begin] = number
        joined = [self._joined({b: queries[n] for b, n in row.items()}) for row in rows]
        answers = yield joined
        found: dict[int, Answer] = {}
        for row, query, answer in zip(rows, joined, answers, strict=True):
            for number in row.values():
                own = queries[number]
                at = [query.positions.index(place) for place in own.positions]
                found[number] = answer.part(own.readouts, at)
        return [found[number] for number in range(len(queries))]

    def _joined(self, row: dict[int, Query]) -> Query:
        """One query of blocks by their first positions."""
        ids, computed = list(self.item.ids), list[int]()
        for begin in sorted(row):
            own = row[begin].ids
            ids[begin : len(own)] = own[begin:]
            computed += range(begin, len(own))
        asked = tuple(place for query in row.values() for place in query.positions)
        readouts = dict.fromkeys(r for query in row.values() for r in query.readouts)
        clean = self.item.ids[: max(row)]
        return Query(
            tuple(ids[: computed[-1] + 1]),
            asked,
            tuple(readouts),
            self.item.name,
            computed=tuple(computed) if clean else (),
            clean=clean,
            origin=self.origin,
        )


@dataclass
class Cached:
    """A query's block alone is computed, on the keys and values of the clean text; see `Way`."""

    item: Item
    parts: Sequence[Part]
    entry: Checkpoint
    origin: int
    context: Context
    _cache: KVCache = field(default_factory=KVCache)

    def begin(self) -> MultiStep[None]:
        """Finished blocks are stored: the context's once for all that share it, then its own."""
        first, last = self.parts[0].begin, self.parts[-1].begin
        if first and not self.context.stored:
            yield [self._store(first, self.context.cache, ())]
            self.context.stored = True
        self._cache = (
            KVCache(list(self.context.cache.layers)) if first < last else self.context.cache
        )
        if first < last:
            yield [self._store(last, self._cache, tuple(range(first, last)) if first else ())]

    def _store(self, end: int, cache: KVCache, computed: tuple[int, ...]) -> Query:
        ids, origin = self.item.ids[:end], self.origin
        return Query(ids, (), (), self.item.name, kv_cache=cache, computed=computed, origin=origin)

    def ask(self, queries: Sequence[Query]) -> MultiStep[list[Answer]]:
        """Each with its block's tokens computed; with a shift, those that predict the first."""
        asked = []
        for query in queries:
            begin, _ = self.entry.block_span(query.positions[0], self.origin)
            begin = min(begin, min(query.positions) - self.entry.shift)
            computed = tuple(range(begin, len(query.ids)))
            asked.append(
                replace(
                    query,
                    kv_cache=self._cache,
                    computed=computed,
                    read_only=True,
                    origin=self.origin,
                )
            )
        return (yield asked)


def cheapest(
    engine: AskingEngine,
    item: Item,
    parts: Sequence[Part],
    passes: Sequence[int],
    contexts: Contexts,
) -> Way:
    """The way that takes the fewest tokens through the network, and of equal ones the simplest.

    Args:
        engine: over a masked model.
        item, parts: what is asked about.
        passes: of each part.
        contexts: what is kept of contexts, added to.
    """
    entry, last = engine.entry, parts[-1].begin
    origin = entry.origin_after(item.first)
    found = counts(parts, passes)
    if not last or not engine.has_kv_cache:
        return Whole(origin)
    if kept(parts) > engine.kv_cache_tokens:
        del found["cached"]
    way = min(found, key=found.__getitem__)
    if way == "whole":
        return Whole(origin)
    if way == "beside":
        return Beside(item, entry, origin)
    key = item.ids[: parts[0].begin], origin
    return Cached(item, parts, entry, origin, contexts.setdefault(key, Context()))


def counts(parts: Sequence[Part], passes: Sequence[int]) -> dict[str, int]:
    """Tokens through the network by each way, at most."""
    last = parts[-1].begin
    pairs = list(zip(parts, passes, strict=True))
    own = sum(count * (len(part.ids) - part.begin) for part, count in pairs)
    return {
        "whole": sum(count * len(part.ids) for part, count in pairs),
        "beside": own + max(passes) * last,
        "cached": own + last,
    }


def kept(parts: Sequence[Part]) -> int:
    """Tokens whose keys and values are kept: of the context, and of all finished blocks."""
    first, last = parts[0].begin, parts[-1].begin
    return first + (last if last > first else 0)


def waves(parts: Sequence[Part], passes: Sequence[int], most: int) -> Iterator[slice]:
    """Runs of parts whose queries may be written out together."""
    begin = tokens = 0
    for number, (part, count) in enumerate(zip(parts, passes, strict=True)):
        own = count * len(part.ids)
        if number > begin and tokens + own > most:
            yield slice(begin, number)
            begin, tokens = number, 0
        tokens += own
    yield slice(begin, len(parts))


def through(way: Way, steps: MultiStep[Found]) -> MultiStep[Found]:
    """Multi-step work whose queries are asked that way."""
    answers: list[Answer] | None = None
    while True:
        try:
            queries = next(steps) if answers is None else steps.send(answers)
        except StopIteration as stop:
            found: Found = stop.value
            return found
        answers = yield from way.ask(queries)
