"""Multi-step work: what takes several passes, each asked after the answers to the one before.

It is written as a generator that yields queries and is sent their answers. Several run side by
side: the queries of a step go to the engine in one call, and a sequence that several ask about goes
through the network once, unless keys and values are kept of it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from mdlm_probe.engine.queries import Answer, Query

Found = TypeVar("Found")
One = TypeVar("One")
Other = TypeVar("Other")
FoundCo = TypeVar("FoundCo", covariant=True)
MultiStep = Generator[list[Query], list[Answer], Found]


class Pass(NamedTuple):
    """What a pass takes: tokens of its sequence, those through the network, asked positions."""

    tokens: int
    network_tokens: int
    asked: int


@runtime_checkable
class Work(Protocol[FoundCo]):
    """Multi-step work whose passes and memory are known beforehand, at most."""

    @property
    def kv_cache_tokens(self) -> int:
        """Tokens whose keys and values it keeps, at most."""

    def steps(self) -> MultiStep[FoundCo]:
        """The work itself; it is done once."""

    def brief(self) -> MultiStep[FoundCo]:
        """The same in as few steps as a result of the same form may have: for dry runs."""

    def passes(self) -> Iterable[Sequence[Pass]]:
        """The passes of each of its steps, at most."""


@runtime_checkable
class Answering(Protocol):
    """What answers queries."""

    def ask(self, queries: Sequence[Query]) -> list[Answer]:
        """The answers, in the order asked."""


def run(engine: Answering, begun: Sequence[MultiStep[Found]]) -> list[Found]:
    """What several return, in their order, all run side by side.

    Args:
        engine: answers the queries.
        begun: none is used again.
    """
    steps = side_by_side(begun)
    try:
        queries = next(steps)
        while True:
            queries = steps.send(_asked(engine, queries))
    except StopIteration as stop:
        found: list[Found] = stop.value
        return found


def side_by_side(begun: Sequence[MultiStep[Found]]) -> MultiStep[list[Found]]:
    """Takes the steps of several together; some may end before others."""
    found: dict[int, Found] = {}
    answers: dict[int, list[Answer] | None] = dict.fromkeys(range(len(begun)))
    while True:
        asked: dict[int, list[Query]] = {}
        for i, own in answers.items():
            try:
                asked[i] = next(begun[i]) if own is None else begun[i].send(own)
            except StopIteration as stop:
                found[i] = stop.value
        if not asked:
            return [found[i] for i in range(len(begun))]
        left = iter((yield [query for queries in asked.values() for query in queries]))
        answers = {i: [next(left) for _ in queries] for i, queries in asked.items()}


def both(one: MultiStep[One], other: MultiStep[Other]) -> MultiStep[tuple[One, Other]]:
    """Takes the steps of two together, whatever each returns."""
    begun: list[MultiStep[Any]] = [one, other]
    first, second = yield from side_by_side(begun)
    return first, second


# ---------------------------------------------------------------------- equal sequences


def _asked(engine: Answering, queries: Sequence[Query]) -> list[Answer]:
    """The answers to a step's queries; queries of one sequence are merged into one."""
    numbers: dict[tuple[Any, ...], int] = {}
    groups: list[list[Query]] = []
    of = [numbers.setdefault(_key(query), len(numbers)) for query in queries]
    for query, number in zip(queries, of, strict=True):
        if number == len(groups):
            groups.append([])
        groups[number].append(query)
    merged = [_merged(group) for group in groups]
    found = engine.ask(merged)
    return [_part(query, merged[n], found[n]) for query, n in zip(queries, of, strict=True)]


def _key(query: Query) -> tuple[Any, ...]:
    """What queries that go through the network together have in common."""
    cache = query.kv_cache
    if cache is None:
        alike = query.ids, query.guidance, query.origin, query.clean, query.count_mask
        return *alike, query.attention, query.removed
    if query.read_only:
        return id(cache), query.ids, query.computed, query.origin
    return (id(cache),)


def _merged(queries: Sequence[Query]) -> Query:
    """One query with all that several ask of a sequence; none has blocks."""
    if len(queries) == 1:
        return queries[0]
    positions = dict.fromkeys(place for query in queries for place in query.positions)
    readouts = dict.fromkeys(readout for query in queries for readout in query.readouts)
    return replace(queries[0], positions=tuple(positions), readouts=tuple(readouts))


def _part(query: Query, merged: Query, answer: Answer) -> Answer:
    """A query's own answer from that of the query it was merged into."""
    if query is merged or query == merged:
        return answer
    rows = [merged.positions.index(place) for place in query.positions]
    own = answer.part(query.readouts, rows)
    return Answer(own | {asked: answer[asked] for asked in query.attention})
