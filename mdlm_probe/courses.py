"""Courses: what takes several passes, each asked after the answers to the one before.

A course is a generator that yields queries and is sent their answers. Courses run side by side: the
queries of a step go to the engine in one call, and a sequence that several ask about goes through
the network once.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mdlm_probe.queries import Query, Readout

if TYPE_CHECKING:
    from mdlm_probe.engine import Answer, Counter, Engine

Found = TypeVar("Found")
Course = Generator[list[Query], "list[Answer]", Found]


def run(engine: Engine | Counter, courses: Sequence[Course[Found]]) -> list[Found]:
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
        replies = [_part(query, merged[query.ids], found[query.ids]) for query in queries]


def side_by_side(courses: Sequence[Course[Found]]) -> Course[list[Found]]:
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


def _merged(queries: Sequence[Query]) -> dict[tuple[int, ...], Query]:
    """One query for each sequence, with all that is asked of it; courses ask for no blocks."""
    places: dict[tuple[int, ...], dict[int, None]] = {}
    readouts: dict[tuple[int, ...], dict[Readout, None]] = {}
    names: dict[tuple[int, ...], str] = {}
    for query in queries:
        places.setdefault(query.ids, {}).update(dict.fromkeys(query.positions))
        readouts.setdefault(query.ids, {}).update(dict.fromkeys(query.readouts))
        names.setdefault(query.ids, query.name)
    return {
        ids: Query(ids, tuple(places[ids]), tuple(readouts[ids]), name)
        for ids, name in names.items()
    }


def _part(query: Query, merged: Query, answer: Answer) -> Answer:
    """A query's own answer from that of the query it was merged into."""
    if query == merged:
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
    }
    plain = {"top_id": np.zeros(asked, dtype=int)}
    return tuple(
        shapes[name](*args) if name in shapes else plain.get(name, np.full(asked, -1.0))
        for name, args in query.readouts
    )
