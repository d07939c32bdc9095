"""What every kind of request needs: the engine, earlier answers, and a front end."""

from __future__ import annotations

import logging
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lm_eval.api.model import LM

from mdlm_probe.decoding.presets import Preset
from mdlm_probe.harness import request_tokens
from mdlm_probe.harness.answer_log import AnswerLog, identity
from mdlm_probe.harness.continuation_scores import Scored
from mdlm_probe.harness.overlong import OverlongDocuments
from mdlm_probe.harness.request_tokens import Clipped, Ids
from mdlm_probe.likelihood.settings import Overlength, Settings

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

    from mdlm_probe.engine.engine import Engine
    from mdlm_probe.models._border import Border
    from mdlm_probe.runs.executors.contract import Session

GROUP = 4
"""Batches that are answered between two writes of answers: a crash costs no more than these."""

Part = TypeVar("Part")
Asked = TypeVar("Asked")
Found = TypeVar("Found")


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
        session: Session,
        border: Border,
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
        self.session, self.border, self.entry = session, border, border.entry
        self.overlong = OverlongDocuments(self.entry, overlength)
        self.settings, self.seed = settings or Settings(), seed
        self.settings.check()
        self.answers = AnswerLog() if answers is None else answers
        self.presets, self.user = presets or {}, tuple(user)
        self.progress = progress or LoggedProgress()
        self.scored: dict[tuple[Any, ...], Scored] = {}
        self.events: list[str] = []
        self._identity = identity(self.facts, self.entry)
        self._said: set[str] = set()

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the loaded model."""
        return self.session.facts["model"]

    @property
    def batch_tokens(self) -> int:
        """Padded tokens of a batch."""
        tokens: int = self.session.batch["tokens"]
        return tokens

    def answered(
        self,
        work: Callable[[Engine, Sequence[Asked]], Found],
        parts: Iterable[list[Part]],
        asked: Callable[[Part], Asked],
    ) -> Iterator[tuple[list[Part], Found]]:
        """Parts of what is to be done, each with what came of it, in order.

        Args:
            work: done with a part by an engine; a function of a module, or a partial of one.
            parts: what is to be done.
            asked: what the engine is told of a member of a part.
        """
        sent: deque[list[Part]] = deque()

        def groups() -> Iterator[list[Asked]]:
            for part in parts:
                sent.append(part)
                yield [asked(one) for one in part]

        for result in self.session.results(work, groups(), partial(self.progress.advance, 0)):
            self.events += result.events
            yield sent.popleft(), result.found

    def parts(self, work: Sequence[Part], cost: Sequence[int]) -> Iterator[list[Part]]:
        """What is done between two writes of answers: a few batches of it."""
        part: list[Part] = []
        taken = 0
        for one, own in zip(work, cost, strict=True):
            if part and taken + own > GROUP * self.batch_tokens:
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
        kept = self.border.opening(before) if keeps else 0
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
                self.progress.note(f"{self.entry.name}: {cut[what]} {what} {said}")

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
