"""Courses: what takes several passes, each asked after the answers to the one before.

A course is a generator that yields queries and is sent their answers. Courses run side by side: the
queries of a step go to the engine in one call, and a sequence that several ask about goes through
the network once, unless keys and values are kept of it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mdlm_probe.engine.queries import Query

if TYPE_CHECKING:
    from mdlm_probe.engine.dry_run import DryRun
    from mdlm_probe.engine.engine import Answer, Engine

Found = TypeVar("Found")
MultiStep = Generator[list[Query], "list[Answer]", Found]


def run(engine: Engine | DryRun, courses: Sequence[MultiStep[Found]]) -> list[Found]:
    """What the courses return, in their order, all run side by side.

    Args:
        engine: a Counter takes the queries of a likely course, and nothing is found.
        courses: none is used again.
    """
    course, replies, counted = side_by_side(courses), None, False
    while True:
        try:
            queries = course.send(replies)
        except StopIteration as stop:
            return [] if counted else stop.value
        merged = _merged(queries)
        answers = engine.ask(list(merged.values()))
        counted = counted or (bool(queries) and not answers)
        found = dict(zip(merged, answers or map(_likely, merged.values()), strict=True))
        keys = map(_key, queries)
        replies = [_part(q, merged[key], found[key]) for q, key in zip(queries, keys, strict=True)]


def side_by_side(courses: Sequence[MultiStep[Found]]) -> MultiStep[list[Found]]:
    """One course that takes the steps of several together; some may end before others."""
    found: dict[int, Found] = {}
    replies: dict[int, list[Answer] | None] = dict.fromkeys(range(len(courses)))
    while True:
        asked: dict[int, list[Query]] = {}
        for i, reply in replies.items():
            try:
                asked[i] = courses[i].send(reply)
            except StopIteration as stop:
                found[i] = stop.value
        if not asked:
            return [found[i] for i in range(len(courses))]
        answers = iter((yield [query for queries in asked.values() for query in queries]))
        replies = {i: [next(answers) for _ in queries] for i, queries in asked.items()}


Key = tuple[Any, ...]
"""What queries that go through the network together have in common."""


def _key(query: Query) -> Key:
    return query.ids, query.guidance, id(query.held) if query.held else None


def _merged(queries: Sequence[Query]) -> dict[Key, Query]:
    """One query for each sequence, with all that is asked of it; courses ask for no blocks."""
    groups: dict[Key, list[Query]] = {}
    for query in queries:
        groups.setdefault(_key(query), []).append(query)
    return {key: _union(group) if len(group) > 1 else group[0] for key, group in groups.items()}


def _union(queries: Sequence[Query]) -> Query:
    places = dict.fromkeys(place for query in queries for place in query.positions)
    readouts = dict.fromkeys(readout for query in queries for readout in query.readouts)
    return replace(queries[0], positions=tuple(places), readouts=tuple(readouts))


def _part(query: Query, merged: Query, answer: Answer) -> Answer:
    """A query's own answer from that of the query it was merged into."""
    if query is merged or query == merged:
        return answer
    rows = [merged.positions.index(place) for place in query.positions]
    return tuple(answer[merged.readouts.index(readout)][rows] for readout in query.readouts)


def _likely(query: Query) -> Answer:
    """Answers of the right shapes where a Counter gives none, so that a course goes on."""
    asked = len(query.positions)
    shapes = {
        "top_ids": lambda count: np.tile(np.arange(count), (asked, 1)),
        "top_logprobs": lambda count: np.full((asked, count), -np.log(count)),
        "chosen": lambda *ids: np.full((asked, len(ids)), -1.0),
        "candidates": lambda *_: _any_candidates(asked),
    }
    plain = {"top_id": np.zeros(asked, dtype=int)}
    return tuple(
        shapes[name](*args) if name in shapes else plain.get(name, np.full(asked, -1.0))
        for name, args in query.readouts
    )


def _any_candidates(asked: int) -> np.ndarray:
    """Candidates of random confidence, so that the number of steps is a likely one."""
    found = np.full((asked, 3), -1.0)
    found[:, 0] = 0
    found[:, 2] -= np.random.default_rng(asked).random(asked)
    return found
