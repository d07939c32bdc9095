"""Log-likelihoods of many continuations, and whether greedy decoding writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mdlm_probe.engine.queries import Answer, Guidance, Query, Readout
from mdlm_probe.likelihood import estimators
from mdlm_probe.likelihood.greedy import is_greedy
from mdlm_probe.likelihood.items import Item
from mdlm_probe.likelihood.settings import Settings

if TYPE_CHECKING:
    from mdlm_probe.engine.engine import Engine

TOP = Readout("top_id")


@dataclass(frozen=True, slots=True)
class Scored:
    """A continuation's log-likelihood.

    Attributes:
        logp, se: in nats, with its Monte Carlo standard error.
        passes, estimator: see `likelihood.Estimate`; a document's are those of all its windows.
        greedy: whether greedy decoding writes it.
    """

    logp: float
    se: float
    passes: int
    estimator: str
    greedy: bool = False

    def row(self) -> dict[str, Any]:
        """As it is written to the log."""
        return asdict(self)


class TopTokenRecorder:
    """An engine that reads the most probable token where it is asked anyway, and remembers it.

    Greedy flags then cost no pass of their own for causal models, for answers of one token, and for
    the chain rule from left to right. What is asked twice goes through the network once.
    """

    def __init__(self, engine: Engine) -> None:
        self.entry, self.border = engine.entry, engine.border
        self._engine = engine
        self._notes: dict[_Text, dict[int, int]] = {}

    @property
    def has_kv_cache(self) -> bool:
        """As the engine's."""
        return self._engine.has_kv_cache

    @property
    def kv_cache_tokens(self) -> int:
        """As the engine's."""
        return self._engine.kv_cache_tokens

    def ask(self, queries: Sequence[Query]) -> list[Answer]:
        """As the engine's."""
        wanted: dict[tuple[Any, ...], dict[Readout, None]] = {}
        for query in queries:
            if not self._knows(query):
                readouts = wanted.setdefault(_name(query), {})
                readouts |= dict.fromkeys(query.readouts)
                if self.entry.kind == "causal" or len(query.positions) == 1:
                    readouts[TOP] = None
        names = {_name(q): q for q in queries}
        asked = [replace(names[k], readouts=tuple(readouts)) for k, readouts in wanted.items()]
        found: dict[tuple[Any, ...], Answer] = {}
        for query, answer in zip(asked, self._engine.ask(asked), strict=True):
            found[_name(query)] = answer
            if TOP in answer:
                tops = map(int, answer[TOP])
                notes = self._notes.setdefault(_text(query), {})
                notes |= dict(zip(query.positions, tops, strict=True))
        return [self._answer(query, found.get(_name(query))) for query in queries]

    def _knows(self, query: Query) -> bool:
        notes = self._notes.get(_text(query), {})
        return query.readouts == (TOP,) and all(place in notes for place in query.positions)

    def _answer(self, query: Query, found: Answer | None) -> Answer:
        if found is None:
            notes = self._notes[_text(query)]
            return Answer({TOP: np.array([notes[place] for place in query.positions])})
        return Answer({readout: found[readout] for readout in query.readouts})


_Text = tuple[tuple[int, ...], int, tuple[int, ...], Guidance | None]


def _text(query: Query) -> _Text:
    """What a query's answers depend on: caches that are read are exact."""
    return query.ids, query.origin, query.clean, query.guidance


def _name(query: Query) -> tuple[Any, ...]:
    """What queries have in common that one pass answers: each cache is filled by its own."""
    stores = query.kv_cache is not None and not query.read_only
    cache = id(query.kv_cache) if stores else None
    return (*_text(query), query.positions, cache, query.count_mask)


class Choices(NamedTuple):
    """Continuations that are ranked together, with their weights; see `likelihood.rank`."""

    items: list[Item]
    weights: list[float]


def score(settings: Settings, engine: Engine, asked: Sequence[Choices]) -> list[list[Scored]]:
    """Log-likelihoods of continuations with their greedy flags; see `likelihood.rank`."""
    noting = TopTokenRecorder(engine)
    groups = [choices.items for choices in asked]
    found = estimators.rank(noting, groups, settings, [choices.weights for choices in asked])
    items = [item for group in groups for item in group]
    how = settings.fill, settings.greedy_order, settings.cfg
    flags = iter(is_greedy(noting, items, *how))
    return [[Scored(**asdict(one), greedy=next(flags)) for one in group] for group in found]


def score_documents(
    settings: Settings, engine: Engine, asked: Sequence[Sequence[Item]]
) -> list[Scored]:
    """Log-likelihoods of whole documents, each given by its windows."""
    items = [item for windows in asked for item in windows]
    found = iter(estimators.estimate(engine, items, settings))
    return [total([Scored(**asdict(next(found))) for _ in windows]) for windows in asked]


def total(parts: Sequence[Scored]) -> Scored:
    """A document's log-likelihood from those of its windows."""
    names = sorted({part.estimator for part in parts})
    return Scored(
        sum(part.logp for part in parts),
        sum(part.se**2 for part in parts) ** 0.5,
        sum(part.passes for part in parts),
        "+".join(names),
    )
