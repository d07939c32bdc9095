"""Tasks of lm-eval as few-shot sets: its documents, templates, delimiters and metrics. No torch.

A task is relevant; the shipped suite's number tasks distract. The text is what lm-eval writes for
base models; in chats every example is a user and an assistant message, as in its multi-turn. Ours:
the description opens the first message, a `gen_prefix` ends the question, and the task's sampler
draws the shots once for a set, where lm-eval draws new ones for every document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.options import UNCOMPARED, Traits
from mdlm_probe.prompts import lm_eval_documents
from mdlm_probe.prompts import suite as tasks
from mdlm_probe.prompts.few_shot_sets import (
    Example,
    FewShotSet,
    Joined,
    Task,
    Template,
    Turn,
    shot,
)
from mdlm_probe.prompts.lm_eval_documents import Documents
from mdlm_probe.prompts.prompt import Prompt
from mdlm_probe.prompts.suite import Suite

PREFIX = "lm-eval:"
"""What the suite of a cell begins with where an lm-eval task stands in for one."""

METRICS: dict[str, Callable[[str], float]] = {
    "acc": lambda choice: 1.0,
    "acc_norm": lambda choice: float(len(choice)),
    "acc_bytes": lambda choice: float(len(choice.encode())),
}
"""What a metric divides a choice's log-likelihood by, as lm-eval does: 1, characters, bytes."""


LmTaskOption = Annotated[
    str,
    "multiple-choice task of lm-eval in place of the suite; default: none",
    Traits("lm_eval_tasks", uncompared=True),
]
DataOption = Annotated[
    str,
    "documents of that task (.jsonl, .json, .csv, .tsv); default: those its YAML names",
    UNCOMPARED,
]
IncludeOption = Annotated[
    str, "folder of lm-eval task YAMLs; default: tasks/lm_eval only", UNCOMPARED
]
MetricOption = Annotated[
    Literal["acc", "acc_norm", "acc_bytes"] | None, "metric of that task; default: its first"
]
"""Options of probes that can ask an lm-eval task."""

OWN = ("lm_eval_task", "data", "include_path", "metric")


def named(
    suite: str,
    options: int | None,
    lm_eval_task: str | None,
    data: str | None,
    include_path: str | None,
    metric: str | None,
) -> str:
    """The suite of a cell: the one asked for, or an lm-eval task with what belongs to it.

    Raises:
        ProbeError: options that don't go together.
    """
    own = {"data": data or "", "include_path": include_path or "", "metric": metric or ""}
    if lm_eval_task:
        for name, found in (("suite", suite != "few-shot"), ("options", options)):
            if found:
                expected = "just one: a task has its own questions and choices"
                raise ProbeError(
                    f"--lm-eval-task and --{name} are both given",
                    expected=expected,
                    option=("lm_eval_task", name),
                )
        return name_of(lm_eval_task, **own)
    for name in (name for name, value in own.items() if value):
        flag = "--" + name.replace("_", "-")
        raise ProbeError(
            f"{flag} without --lm-eval-task",
            expected="the task that it belongs to",
            option=(name, "lm_eval_task"),
        )
    return suite


def name_of(task: str, **given: str) -> str:
    """The suite of a cell: a task, and the `data`, `include_path` and `metric` a user gave."""
    more = urlencode({name: value for name, value in given.items() if value}, safe="/")
    return f"{PREFIX}{task}" + (f"?{more}" if more else "")


@cache
def load(suite: str, lexicon: str) -> LmSuite:
    """Reads a task as a suite: with each of the shipped suite's number tasks it is a set.

    Args:
        suite: from `name_of`.
        lexicon: what the numbers are drawn from.

    Raises:
        ProbeError: no such task, not multiple choice, or documents that don't fit it.
    """
    name, _, more = suite.removeprefix(PREFIX).partition("?")
    options = dict(parse_qsl(more))
    numbers = tasks.load("few-shot", lexicon)
    with lm_eval_documents.quiet():
        task = lm_eval_documents.read(
            name, options.get("data", ""), options.get("include_path", "")
        )
        source = Documents(task)
    metric = source.metric(options.get("metric", ""), METRICS)
    closing, end = source.ending
    template = ChoiceTemplate("{question}", "{text}", ", ", "{answer}" + closing, "", end)
    own = Task(source.name, source.choices)
    sets = {}
    for fs in numbers.sets.values():
        joined = f"{own.name}-{fs.distractor.name}"
        sets[joined] = LmSet(joined, own, fs.distractor, template, fs.template, source, metric)
    shots = source.task.config.num_fewshot or numbers.shots
    return LmSuite(own.name, sets, {}, numbers.answer, own.options, shots, numbers.distractors)


def sources(
    *,
    suite: str,
    lexicon: str,
    options: int | None,
    shots: int | tuple[int, ...] | None,
    distractors: int | tuple[int, ...] | None,
    limit: int,
    seed: int,
    **given: Any,
) -> dict[str, str]:
    """The text of a task's documents that are used, as a hash: other data, another measurement."""
    source = load(named(suite, options, **{name: given[name] for name in OWN}), lexicon)
    most = _most(shots, source.shots), _most(distractors, source.distractors)
    found = [lm.digest(limit, *most, seed) for lm in source.sets.values()]
    return {"lm_eval_task": "-".join(found)}


def check_documents(source: Suite, limit: int, shots: int | tuple[int, ...], seed: int) -> None:
    """Refuses more examples than a task has documents; other suites say so when they draw.

    Raises:
        ProbeError: naming the set.
    """
    for fs in source.sets.values():
        fs.check_enough(limit, seed, _most(shots, source.shots))


def _most(count: int | tuple[int, ...] | None, default: int) -> int:
    found = (count,) if isinstance(count, int) else count or ()
    return max(found, default=default)


# ---------------------------------------------------------------------- sets and prompts


@dataclass(frozen=True)
class MixedPrompt(Prompt):
    """A prompt whose turns are joined in different ways, (joint, end) for each; chats as ever."""

    joints: tuple[tuple[str, str], ...]

    def text(self) -> str:
        """Plain concatenation: nothing follows the last answer."""
        parts = [
            f"{question}{joint}{answer}{end}"
            for (question, answer), (joint, end) in zip(self.turns, self.joints, strict=True)
        ]
        return "".join(parts).removesuffix(self.joints[-1][1])


class ChoiceTemplate(Template):
    """How documents are written: their text is there already; what ends in space is cut off it."""

    def ask(self, example: Example) -> str:
        """A document's text; its last spaces go to the choices, as lm-eval does it."""
        return example.question.rstrip()


@dataclass(frozen=True)
class LmSuite(Suite):
    """A task with each of the shipped suite's number tasks."""

    sets: dict[str, LmSet]  # type: ignore[assignment]  # nobody puts others in


@dataclass(frozen=True)
class LmSet(FewShotSet):
    """A set whose relevant examples are an lm-eval task's documents.

    Attributes:
        other: the template of its distractors.
        documents: of the task.
        metric: one of `METRICS`: what says which choice the model takes.
    """

    scored = "choices"

    other: Template = field(repr=False)
    documents: Documents = field(repr=False, compare=False)
    metric: str

    def shots(self, side: str, count: int, seed: int) -> tuple[Example, ...]:
        """As in other sets; documents in the order of the task's sampler."""
        if side != "relevant":
            return super().shots(side, count, seed)
        return tuple(self.documents.example(doc) for doc in self._drawn(count, seed))

    def items(self, count: int, seed: int, shots: int) -> tuple[Example, ...]:
        """The task's first documents, but for those that are among its shots."""
        used = set(self.shots("relevant", shots, seed))
        found = (self.documents.example(doc) for doc in self.documents.asked)
        fresh = (example for example in found if example not in used)
        return self._take(fresh, count, "test points")

    def written(self, side: str, count: int, seed: int, answer: str) -> tuple[Joined, ...]:
        """The answered turns of a side; `answer` is the distractors': letter or word."""
        if side == "relevant":
            return tuple(self.documents.shot(doc) for doc in self._drawn(count, seed))
        turns = [shot(self.other, e, answer) for e in self.shots(side, count, seed)]
        return tuple(Joined(turn, self.other.turn, self.other.end) for turn in turns)

    def continuations(self, example: Example, chat: bool) -> tuple[str, ...]:
        """The texts that choose an option: what stands after the asked question."""
        cut = example.question[len(example.question.rstrip()) :]
        before = "" if chat else cut + self.documents.task.config.target_delimiter
        return tuple(before + choice for choice in example.options)

    def prompt(self, turns: tuple[Turn, ...], written: Sequence[Joined]) -> MixedPrompt:
        """As in other sets; the turn that isn't written is asked."""
        known = {one.turn: one for one in written}
        joints = tuple(
            (known[turn].joint, known[turn].end) if turn in known else ("", self.template.end)
            for turn in turns
        )
        (question, answer), *others = turns
        opened = ((self.documents.description + question, answer), *others)
        return MixedPrompt(opened, "", self.template.end, joints)

    def check_enough(self, count: int, seed: int, shots: int) -> None:
        """As in other sets: the documents are counted."""
        self.items(count, seed, shots)

    def digest(self, count: int, shots: int, distractors: int, seed: int) -> str:
        """A hash of the text of everything that this many test points are asked with."""
        sides = {"relevant": shots, "distractor": distractors}
        parts: list[Any] = [self.written(side, n, seed, "letter") for side, n in sides.items()]
        parts += [self.items(count, seed, shots), self.documents.description, repr(self)]
        return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()

    def _drawn(self, count: int, seed: int) -> list[Any]:
        pool = self.documents.pool(seed_of("lm-eval", self.name, seed))
        return list(self._take(iter(pool), count, "relevant examples"))
