"""Few-shot sets: templates, tasks that draw examples, and the sets of a suite. No torch."""

from __future__ import annotations

import random
import string
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar, Literal, NamedTuple

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts.prompt import MASK, Prompt

LETTERS = string.ascii_uppercase
MAX_OPTIONS = 5
NUMBER_RULES = {"smallest": min, "largest": max}


@dataclass(frozen=True)
class Example:
    """One multiple-choice question: its options, and the index of the right one."""

    options: tuple[str, ...]
    right: int
    question: str = ""


def split(options: Sequence[str]) -> str:
    """The split an option set belongs to, whatever its order: "test", "validation" or "train".

    2/8, 1/8 and 5/8 of all sets, by a hash of the words. The bundled models were trained on
    "train" only; the `small` lexicon draws from "test" only. Source: ours.
    """
    total = sum(zlib.crc32(word.encode()) for word in options)
    bucket = (total * 2654435761 % 2**32) >> 29
    return ("test", "test", "validation", "train", "train", "train", "train", "train")[bucket]


@dataclass(frozen=True)
class Template:
    """How questions, options and answers are written."""

    question: str
    option: str
    between: str
    answer: str
    turn: str
    end: str

    def ask(self, example: Example) -> str:
        """The question with its options, lettered from A."""
        options = self.between.join(
            self.option.format(letter=letter, text=text)
            for letter, text in zip(LETTERS, example.options, strict=False)
        )
        return self.question.format(options=options, question=example.question)

    def opening(self) -> str:
        """What stands before the answer, such as `Answer:[`."""
        return self.answer.split("{answer}")[0]

    def closing(self) -> str:
        """What stands after the answer, such as `].`"""
        return self.answer.split("{answer}")[1]


@dataclass(frozen=True)
class Task:
    """Where the examples of one side of a set come from; exactly one source is given.

    Attributes:
        name: the task's name in its file.
        target, wrong: words of the right option, and the lists the wrong ones come from.
        numbers: "smallest" or "largest", with `span` (inclusive).
        questions: examples read from a JSONL file.
        only: the split that option sets must belong to; "" for any.
    """

    name: str
    options: int
    target: tuple[str, ...] = ()
    wrong: tuple[tuple[str, ...], ...] = ()
    numbers: str = ""
    span: tuple[int, int] = (1, 1000)
    questions: tuple[Example, ...] = ()
    only: str = ""

    def stream(self, *seed: Any) -> Iterator[Example]:
        """Distinct examples in a fixed random order; it ends where no new ones are left."""
        rng = random.Random(seed_of("examples", *seed))
        if self.questions:
            yield from rng.sample(self.questions, len(self.questions))
            return
        seen, misses = set(), 0
        while misses < 10_000:
            example = self._draw(rng)
            if example in seen or (self.only and split(example.options) != self.only):
                misses += 1
                continue
            misses = 0
            seen.add(example)
            yield example

    def _draw(self, rng: random.Random) -> Example:
        if self.numbers:
            drawn = rng.sample(range(self.span[0], self.span[1] + 1), self.options)
            right = drawn.index(NUMBER_RULES[self.numbers](drawn))
            return Example(tuple(map(str, drawn)), right)
        words = [rng.choice(self.target)]
        while len(words) < self.options:
            word = rng.choice(rng.choice(self.wrong))
            if word not in words:
                words.append(word)
        order = rng.sample(range(self.options), self.options)
        return Example(tuple(words[i] for i in order), order.index(0))


Turn = tuple[str, str]
"""A question with its options, and what is written after it."""


class Joined(NamedTuple):
    """An answered turn: what joins question and answer in plain text, and what follows both."""

    turn: Turn
    joint: str
    end: str


@dataclass(frozen=True)
class FewShotSet:
    """One of the suite's sets: a relevant task, a distractor task, and the template of both.

    Attributes:
        scored: how answers are: by one token for each option, or by whole choices.
    """

    scored: ClassVar[Literal["token", "choices"]] = "token"

    name: str
    relevant: Task
    distractor: Task
    template: Template = field(repr=False)

    def shots(self, side: str, count: int, seed: int) -> tuple[Example, ...]:
        """The first `count` in-context examples of a side, the same for every test point."""
        task = self.relevant if side == "relevant" else self.distractor
        return self._take(task.stream(self.name, side, seed), count, f"{side} examples")

    def items(self, count: int, seed: int, shots: int) -> tuple[Example, ...]:
        """The first `count` test points; none is one of the first `shots` relevant examples.

        A smaller count gives a prefix of a larger one.
        """
        used = set(self.shots("relevant", shots, seed))
        if self.relevant.questions:
            pool = list(self.relevant.stream(self.name, "relevant", seed))
            fresh = iter([example for example in reversed(pool) if example not in used])
        else:
            drawn = self.relevant.stream(self.name, "items", seed)
            fresh = (example for example in drawn if example not in used)
        return self._take(fresh, count, "test points")

    def written(self, side: str, count: int, seed: int, answer: str) -> tuple[Joined, ...]:
        """The answered turns of a side's examples; `answer` is "letter" or "word"."""
        template = self.template
        turns = (shot(template, example, answer) for example in self.shots(side, count, seed))
        return tuple(Joined(turn, template.turn, template.end) for turn in turns)

    def prompt(self, turns: tuple[Turn, ...], written: Sequence[Joined]) -> Prompt:
        """A prompt of these turns.

        Args:
            turns: as they follow each other; one is asked.
            written: how the others are joined.
        """
        return Prompt(turns, self.template.turn, self.template.end)

    def check_enough(self, count: int, seed: int, shots: int) -> None:
        """Refuses more test points than there are, where that is not known before they are drawn.

        Raises:
            ProbeError: naming the set.
        """

    def _take(self, stream: Iterator[Example], count: int, what: str) -> tuple[Example, ...]:
        taken = tuple(islice(stream, count))
        if len(taken) < count:
            raise ProbeError(
                f"set '{self.name}' has only {len(taken)} {what}",
                expected=f"{count}",
                hint="lower --limit or the number of shots, or give longer word lists",
            )
        return taken


# ---------------------------------------------------------------------- prompts


def answer_text(example: Example, index: int, answer: str) -> str:
    """The text that answers with option `index`: its letter, or the option's own word."""
    return LETTERS[index] if answer == "letter" else example.options[index]


def ask(template: Template, example: Example, masks: int | None) -> Turn:
    """The asked turn. `masks`: None opens the answer and stops (causal models); 0 closes it around
    exactly one mask; k > 0 ends it in k masks, the first of which is the answer (arXiv 2511.21338).
    """
    opening = template.opening()
    if masks is None:
        answer = opening
    elif masks == 0:
        answer = opening + MASK + template.closing()
    else:
        answer = opening + MASK * masks
    return template.ask(example), answer


def shot(template: Template, example: Example, answer: str) -> Turn:
    """The turn of an in-context example, answered."""
    text = answer_text(example, example.right, answer)
    return template.ask(example), template.opening() + text + template.closing()
