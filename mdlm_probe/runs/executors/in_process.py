"""The executor in this process: one engine, one group after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mdlm_probe.models._checkpoint import Checkpoint, LoadOptions
from mdlm_probe.runs.executors.contract import (
    EngineRequest,
    Executor,
    Found,
    GroupResult,
    Item,
    Note,
)
from mdlm_probe.runs.loaded_models import LoadedModels, portable

if TYPE_CHECKING:
    from mdlm_probe.engine.engine import Engine
    from mdlm_probe.models._base import Model


class InProcess:
    """Works in this process.

    Attributes:
        loaded: the models, kept from one session to the next.
    """

    def __init__(self) -> None:
        self.loaded = LoadedModels()

    def border(self, entry: Checkpoint, load: LoadOptions) -> Any:
        """A checkpoint's tokenizer."""
        return self.loaded.border(entry, load)

    def open(self, request: EngineRequest, note: Note) -> EngineSession:
        """Loads what a request names; everything else is put away first."""
        return EngineSession(*self.load(request, note), request.batch)

    def load(self, request: EngineRequest, note: Note) -> tuple[Model, Model | None]:
        """The model and the scorer that a request names; everything else is put away first.

        Raises:
            ProbeError: as `models.load`.
        """
        return self.loaded.models(request.options, request.entry, request.load, note)

    def parts(self, number: int) -> Sequence[InProcess]:
        """This one alone: a process has one engine."""
        return [self]

    def help(self, others: Sequence[Executor]) -> None:
        """Never asked: it has no parts."""

    def close(self) -> None:
        """Puts all models away."""
        self.loaded.clear()


class EngineSession:
    """One engine over a model, and over its scorer.

    Args:
        model, scorer: the models; no scorer: None.
        batch: budgets that are known already; others are found.
    """

    workers: Sequence[dict[str, Any]] = ()

    def __init__(self, model: Model, scorer: Model | None, batch: dict[str, Any]) -> None:
        from mdlm_probe.engine.engine import Engine

        self.engine = Engine(
            model,
            batch_tokens=batch.get("tokens"),
            gradients=batch.get("gradients"),
            kv_cache_tokens=batch.get("held"),
        )
        self.facts = {"model": facts_of(model)}
        if scorer:
            self.engine.scorer = Engine(scorer, batch_tokens=batch.get("scorer"))
            self.facts["scorer"] = facts_of(scorer)

    @property
    def batch(self) -> dict[str, Any]:
        """Budgets of batches, as they are now."""
        scorer = {"scorer": self.engine.scorer.batch_tokens} if self.engine.scorer else {}
        return {**self.engine.budgets, **scorer}

    def results(
        self,
        work: Callable[[Engine, Sequence[Item]], Found],
        groups: Iterable[Sequence[Item]],
        watch: Callable[[int], None],
    ) -> Iterator[GroupResult[Found]]:
        """What comes of each group, one after another."""
        self.engine.watch = watch
        for group in groups:
            yield self.result(work, group)

    def result(
        self, work: Callable[[Engine, Sequence[Item]], Found], group: Sequence[Item]
    ) -> GroupResult[Found]:
        """What comes of a group."""
        events, busy = len(self.engine.events), self.engine.busy
        found = work(self.engine, group)
        new = tuple(self.engine.events[events:])
        return GroupResult(found, new, self.batch, self.engine.busy - busy)


def facts_of(model: Model) -> dict[str, Any]:
    """What run.json says of a loaded model."""
    facts: dict[str, Any] = portable(model.facts | {"entry": asdict(model.entry)})
    return facts
