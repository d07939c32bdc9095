"""Few-shot sets: templates, tasks that draw examples, and the sets of a suite. No torch."""

from __future__ import annotations

import random
import string
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice, zip_longest
from typing import Any, ClassVar, Literal, NamedTuple

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts.prompt import MASK, Prompt

LETTERS = string.ascii_uppercase
MAX_OPTIONS = 5
NUMBER_RULES = {"smallest": min, "largest": max}
ORDERS = ("random", "alternating", "grouped")
"""Of the relevant examples of a set: as drawn; right options in turn; by right option."""
DRAWN = "letters balanced, words of examples and test points apart"
"""How sets draw, as suites' digests hold it: drawn in another way, a measurement is another."""


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

    def halves(self, *seed: Any) -> tuple[Task, Task] | None:
        """Two tasks that share no word: every list is halved at random, by words in lower case.

        None where nothing is drawn from words, or a half has too few of them to ask anything.
        """
        sides: dict[str, int] = {}
        for words in (self.target, *self.wrong):
            fresh = list(dict.fromkeys(w.lower() for w in words if w.lower() not in sides))
            random.Random(seed_of("halves", *seed, *fresh)).shuffle(fresh)
            sides |= {word: n % 2 for n, word in enumerate(fresh)}
        found = []
        for side in (0, 1):
            lists = [tuple(w for w in words if sides[w.lower()] == side) for words in self.wrong]
            target = tuple(w for w in self.target if sides[w.lower()] == side)
            wrong = tuple(words for words in lists if words)
            if not target or len({word for words in wrong for word in words}) < self.options - 1:
                return None
            found.append(replace(self, target=target, wrong=wrong))
        return found[0], found[1]

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
        order: one of `ORDERS`, of the relevant examples.
    """

    scored: ClassVar[Literal["token", "choices"]] = "token"

    name: str
    relevant: Task
    distractor: Task
    template: Template = field(repr=False)
    order: str = field(default="random", kw_only=True, repr=False)

    def shots(self, side: str, count: int, seed: int) -> tuple[Example, ...]:
        """The first `count` in-context examples of a side, the same for every test point.

        Every option is the right one equally often, but for one example: as many examples as there
        are options have each of them once, as far as a file of questions goes. Source: ours.
        """
        if side == "relevant":
            task, stream = self.relevant, self._stream(0, side, seed)
        else:
            task, stream = self.distractor, self.distractor.stream(self.name, side, seed)
        letters = seed_of("letters", self.name, side, seed)
        found = _balanced(stream, task.options, letters)
        taken = self._take(found, count, f"{side} examples")
        return taken if side == "distractor" else ordered(taken, self.order, letters)

    def items(self, count: int, seed: int, shots: int) -> tuple[Example, ...]:
        """The first `count` test points; none is one of the first `shots` relevant examples.

        A smaller count gives a prefix of a larger one. Examples and test points that are drawn from
        word lists have no word in common while the lists last: each is drawn from a half of them.
        Source: ours.
        """
        used = set(self.shots("relevant", shots, seed))
        if self.relevant.questions:
            pool = list(self.relevant.stream(self.name, "relevant", seed))
            fresh = iter([example for example in reversed(pool) if example not in used])
        else:
            drawn = self._stream(1, "items", seed)
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

    def _stream(self, half: int, name: str, seed: int) -> Iterator[Example]:
        """Distinct relevant examples: of one half of the words first, then of all."""
        whole = self.relevant.stream(self.name, name, seed)
        halves = self.relevant.halves(self.name, seed)
        if not halves:
            return whole
        return _distinct(chain(halves[half].stream(self.name, name, seed), whole))

    def _take(self, stream: Iterator[Example], count: int, what: str) -> tuple[Example, ...]:
        taken = tuple(islice(stream, count))
        if len(taken) < count:
            raise ProbeError(
                f"set '{self.name}' has only {len(taken)} {what}",
                expected=f"{count}",
                hint="lower --limit or the number of shots, or give longer word lists",
            )
        return taken


def ordered(examples: Sequence[Example], order: str, seed: int) -> tuple[Example, ...]:
    """The same examples in another order; which right option comes first is drawn by the seed.

    So a set's last examples have either option, and a model that repeats the last one seen wins
    nothing over many sets.
    """
    if order == "random":
        return tuple(examples)
    options = sorted({one.right for one in examples})
    random.Random(seed).shuffle(options)
    groups = [[one for one in examples if one.right == right] for right in options]
    if order == "grouped":
        return tuple(chain(*groups))
    turns = zip_longest(*groups)
    return tuple(one for turn in turns for one in turn if one is not None)


def _distinct(stream: Iterator[Example]) -> Iterator[Example]:
    seen = set()
    for example in stream:
        if example not in seen:
            seen.add(example)
            yield example


def _balanced(stream: Iterator[Example], options: int, seed: int) -> Iterator[Example]:
    """A stream's examples, rearranged: of so many in a row, each option is right in one.

    Options come in random order. Where none is left with the option whose turn it is, the next one
    is taken as it is.
    """
    rng = random.Random(seed)
    waiting: list[Example] = []
    while True:
        for right in rng.sample(range(options), options):
            found = next((example for example in waiting if example.right == right), None)
            while found is None and (example := next(stream, None)):
                if example.right == right:
                    found = example
                else:
                    waiting.append(example)
            if found is None:
                found = next(iter(waiting), None)
            if found is None:
                return
            if found in waiting:
                waiting.remove(found)
            yield found


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
