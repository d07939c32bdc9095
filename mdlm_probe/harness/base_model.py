"""What every kind of request needs: the engine, earlier answers, and a front end."""

from __future__ import annotations

import logging
from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lm_eval.api.model import LM

from mdlm_probe.harness import request_tokens
from mdlm_probe.harness.answer_log import AnswerLog, identity
from mdlm_probe.harness.continuation_scores import Scored
from mdlm_probe.harness.overlong import OverlongDocuments
from mdlm_probe.harness.presets import Preset
from mdlm_probe.harness.request_tokens import Clipped, Ids
from mdlm_probe.likelihood.settings import Overlength, Settings

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

    from mdlm_probe.engine.engine import Engine

GROUP = 4
"""Batches that are answered between two writes of answers: a crash costs no more than these."""

Work = TypeVar("Work")


class EvaluationProgress(Protocol):
    """What a front end may want to show while requests are answered."""

    def note(self, text: str) -> None:
        """Something a person should know."""

    def start(self, name: str, cells: int, done: int) -> None:
        """So many requests begin, or resume."""

    def advance(self, cells: int, tokens: int) -> None:
        """So many are answered and on disk."""


class LoggedProgress:
    """Progress for those who drive lm-eval themselves: notes are logged, the rest is silent."""

    def note(self, text: str) -> None:
        """Logs a warning."""
        logging.getLogger("mdlm_probe").warning(text)

    def start(self, name: str, cells: int, done: int) -> None:
        """Nothing."""

    def advance(self, cells: int, tokens: int) -> None:
        """Nothing."""


class EngineLM(LM):
    """lm-eval's model over our engine: what every kind of request needs; see `ProbeLM`."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings | None = None,
        *,
        seed: int = 0,
        answers: AnswerLog | None = None,
        presets: Mapping[str, Preset] | None = None,
        user: Sequence[str] = (),
        progress: EvaluationProgress | None = None,
        overlength: Overlength = "cut",
    ) -> None:
        super().__init__()
        self.overlong = OverlongDocuments(engine.entry, overlength)
        self.engine, self.settings, self.seed = engine, settings or Settings(), seed
        self.settings.check()
        self.answers = AnswerLog() if answers is None else answers
        self.presets, self.user = presets or {}, tuple(user)
        self.progress = progress or LoggedProgress()
        self.scored: dict[tuple[Any, ...], Scored] = {}
        self._identity = identity(engine.model.facts, engine.entry)
        self._device = engine.model.device
        self._said: set[str] = set()
        engine.watch = partial(self.progress.advance, 0)

    def parts(self, work: Sequence[Work], cost: Sequence[int]) -> Iterator[list[Work]]:
        """Work that is done between two writes of answers: a few batches of it."""
        part: list[Work] = []
        taken = 0
        for one, own in zip(work, cost, strict=True):
            if part and taken + own > GROUP * self.engine.batch_tokens:
                yield part
                part, taken = [], 0
            part.append(one)
            taken += own
        if part:
            yield part

    def clip(self, request: Instance, before: Ids, after: Ids, most: int) -> Clipped:
        """A context and what follows it, as `--overlength` says; documents that it cuts are noted.

        Raises:
            ProbeError: it is too long, and that is an error.
        """
        keeps = self.overlong.rule == "keep-start"
        kept = self.engine.border.opening(before) if keeps else 0
        found = request_tokens.clip(before, after, most, kept)
        self.overlong.add(request, found.cut, title(request))
        return found

    def rule_of(self, cut: int) -> tuple[str, ...]:
        """What an answer's name says of how its context was cut: nothing if as lm-eval does."""
        changed = cut and self.overlong.rule == "keep-start"
        return (self.overlong.rule,) if changed else ()

    def note_cuts(self, cut: Tally[str]) -> None:
        """Says how many contexts and continuations were too long."""
        for what in ("contexts", "continuations"):
            if cut[what]:
                said = self.overlong.said()
                self.progress.note(f"{self.engine.entry.name}: {cut[what]} {what} {said}")

    def once(self, text: str) -> None:
        """A note that is not repeated."""
        if text not in self._said:
            self._said.add(text)
            self.progress.note(text)


def place(request: Instance) -> tuple[Any, ...]:
    """Which request of its task it is."""
    return request.task_name, request.doc_id, request.idx


def title(request: Instance) -> str:
    """A request as errors name it."""
    what = f"document {request.doc_id} of task '{request.task_name}'"
    return f"{what}, request {request.idx}" if request.task_name else "a request"


def letters(request: Instance) -> int:
    """Characters of a choice, without the space that joins it to its context."""
    return max(1, len(request.args[1].strip()))
