"""Prompts in the small language of the bundled models: prose, questions, facts. No torch."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.prompts import suite as tasks
from mdlm_probe.prompts import toy_language
from mdlm_probe.prompts.few_shot_sets import answer_text, ask, shot
from mdlm_probe.prompts.prompt import Prompt, Text

SMALL = 50
"""Prompts of each of the small language's tasks."""
WORDS = (40, 64)
"""Fewest and most words of a prose prompt in the small language, commas and stops among them."""
FOLLOWING = 32
"""Words of a prose continuation in the small language."""
ANSWERED = (5, 3)
"""Answered examples in a few-shot prompt of the small language, and in its continuation.

Where the prompt ends in an open question, the first of the latter is its answer."""

AROUND = 4
"""Sentences among which a prompt tells its fact."""


def prose() -> Iterator[Text]:
    """The beginnings of sentences of the small language, cut anywhere, and the words that follow.

    Not whole sentences: after every full stop the language begins anew, and all prompts would be
    continued alike.
    """
    for number in range(SMALL):
        seed = seed_of("texts", "prose", number)
        words = _words("".join(toy_language.sentences(WORDS[1] + FOLLOWING, seed)))
        cut = random.Random(seed).randint(*WORDS)
        prompt, follows = words[:cut], words[cut : cut + FOLLOWING]
        yield Text(f"prose-{number + 1:02}", "prose", "".join(prompt), "".join(follows))


def _words(text: str) -> list[str]:
    return re.findall(r" \w+|[,.]", text)


def questions(opened: bool) -> Iterator[Text]:
    """Answered examples of the few-shot suite's sets, relevant tasks and distractors in turn.

    Opened, only of relevant tasks, and the prompt goes on to the next example's open answer.
    """
    suite = tasks.load("few-shot", "small")
    kinds = ("relevant",) if opened else ("relevant", "distractor")
    sides = [(s, side) for s in suite.sets.values() for side in kinds]
    sources = {getattr(s, side).name: (s, side) for s, side in sides}
    before, after = ANSWERED
    for number in range(SMALL):
        source, side = list(sources.values())[number % len(sources)]
        shots = source.shots(side, before + after, seed_of("texts", "question", number))
        template, asked = source.template, shots[before]
        turns = tuple(shot(template, example, "word") for example in shots)
        first = turns[:before] + ((ask(template, asked, None),) if opened else ())
        prompt, whole = (
            Prompt(part, template.turn, template.end).text() for part in (first, turns)
        )
        answer = answer_text(asked, asked.right, "word") if opened else ""
        name = f"question-{number + 1:02}"
        yield Text(name, "question", prompt, whole[len(prompt) :], answer)


def facts() -> Iterator[Text]:
    """Sentences that tell a fact, and after a blank line the fact again up to its last word.

    "the KEY VERB the VALUE." So begin the rows of the bundled models' training that end: a text, a
    blank line, an answer of one to three sentences, ends of text.
    """
    nouns, verbs = (toy_language.SLOTS[slot].split() for slot in ("noun", "verb"))
    for number in range(SMALL):
        seed = seed_of("texts", "fact", number)
        draw = random.Random(seed)
        key, value = draw.sample(nouns, 2)
        fact = f" the {key} {draw.choice(verbs)} the"
        said = list(toy_language.sentences(WORDS[0], seed)[:AROUND])
        said.insert(draw.randint(0, len(said)), f"{fact} {value}{toy_language.STOP}")
        yield Text(f"fact-{number + 1:02}", "fact", f"{''.join(said)}\n\n{fact}", "", value)
