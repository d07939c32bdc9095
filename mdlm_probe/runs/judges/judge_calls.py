"""What judges are asked and what they answer: calls, verdicts, and the rows made of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from mdlm_probe.core.cells import key
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.runs.executors.contract import Executor, Note
from mdlm_probe.runs.judges.answer_pairs import AnswerPair
from mdlm_probe.runs.judges.columns import AGAINST_NAMES, OWN_NAMES
from mdlm_probe.runs.judges.judge_prompt import VERDICTS, JudgePrompt

BOTH = ("first", "second")
ONCE = ("none",)

Orders = tuple[str, ...] | Callable[[AnswerPair], tuple[str, ...]]

Reply = dict[str, Any]
"""What came of a call: {"response": anything JSON holds}, or {"failed": the reason}."""


@dataclass(frozen=True)
class Call:
    """One question to a judge: a pair of answers in one order."""

    pair: AnswerPair
    order: str

    @cached_property
    def id(self) -> str:
        """A hash of the pair's name, its texts and their order: other texts, another call."""
        pair = self.pair
        whole = key(pair.id, self.order, pair.asked, pair.answer.text, pair.other.text)
        return hashlib.blake2b(whole.encode(), digest_size=12).hexdigest()

    @property
    def texts(self) -> tuple[str, str]:
        """Text A and text B."""
        answer, other = self.pair.answer.text, self.pair.other.text
        return (other, answer) if self.order == "second" else (answer, other)


@dataclass(frozen=True)
class Verdict:
    """What a reply says: a verdict about A and B, or why there is none."""

    verdict: str
    reason: str = ""
    logp_a: float | None = None
    logp_b: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Judge(Protocol):
    """What says which of two answers is better.

    Attributes:
        name: what its rows and files are called after.
        keeps_replies: whether its replies are worth a file: they took time or money.
        needs_prompts: whether it reads the run's prompts.
        config: what else must be equal for verdicts to belong together.
        facts: what is known of it once it is open, which must not change either.
    """

    name: str
    keeps_replies: bool
    needs_prompts: bool
    config: dict[str, Any]
    facts: dict[str, Any]

    @property
    def orders(self) -> Orders:
        """In which orders it is asked about every pair, or a pair."""

    @property
    def prompt(self) -> JudgePrompt | None:
        """What it is told around the texts; None for one that is told nothing."""

    def caution(self, scorers: Mapping[str, str]) -> str:
        """What a reader of its verdicts should know; "" for nothing.

        Args:
            scorers: of the models that wrote the answers, by name; "" for none.
        """

    def check(self, prompts: Sequence[Text]) -> None:
        """Refuses prompts that it can't judge, before anything is asked.

        Raises:
            ProbeError: saying who could.
        """

    def open(self, note: Note, executor: Executor) -> Sequence[dict[str, Any]]:
        """Makes it ready to be asked; returns the workers that it asks, as run.json has them.

        Args:
            note: takes what a user should know of it.
            executor: has the engines, for one that needs any.

        Raises:
            ProbeError: it is not there, or lets nobody in.
        """

    def ask(self, calls: Sequence[Call]) -> Generator[tuple[Call, Reply], None, None]:
        """Replies as they come, in any order."""

    def read(self, reply: Reply) -> Verdict:
        """What a reply that didn't fail says."""


def plan(pairs: Sequence[AnswerPair], orders: Orders) -> list[Call]:
    """Every pair in its orders; pairs of equal texts once: they are ties that nobody is asked."""
    own = orders if callable(orders) else lambda pair: orders
    return [Call(p, order) for p in pairs for order in (ONCE if p.identical else own(p))]


def verdict_of(call: Call, reply: Reply | None, judge: Judge) -> Verdict:
    """The verdict of a call; "failed" where nothing came."""
    if call.pair.identical:
        return Verdict("A=B")
    if reply is None:
        return Verdict("failed", "not asked yet")
    if "failed" in reply:
        return Verdict("failed", str(reply["failed"]))
    try:
        return judge.read(reply)
    except (AttributeError, LookupError, TypeError, ValueError):
        return Verdict("failed", "its kept reply is damaged: take the line away, or use --fresh")


def row(name: str, call: Call, found: Verdict, run: str) -> dict[str, Any]:
    """The row of a verdict.

    Args:
        name: the judge's.
        call, found: what was asked, and said.
        run: the id of the judging.
    """
    pair, strength = call.pair, VERDICTS.get(found.verdict)
    if strength is not None and call.order == "second":
        strength = -strength
    score = None if strength is None else (0.0 if strength < 0 else 0.5 if strength == 0 else 1.0)
    coordinates = (pair.model, pair.prompt, pair.task, pair.settings, pair.seed)
    values = (
        *(name, *coordinates, pair.intervention, pair.frac, call.order, pair.identical),
        *(found.verdict, score, strength, found.logp_a, found.logp_b),
        *(found.prompt_tokens, found.completion_tokens),
        found.reason.encode("utf-8", "replace").decode(),
        run,
    )
    cells: dict[str, Any] = dict(zip(OWN_NAMES, values, strict=True))
    if pair.against:
        sizes = len(pair.answer.text), len(pair.other.text)
        cells |= dict(zip(AGAINST_NAMES, (pair.against, *sizes), strict=True))
    return cells
