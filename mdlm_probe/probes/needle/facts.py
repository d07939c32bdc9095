"""Needles: one-line facts made from templates, and the questions that ask for them. No torch.

Read from YAML: tasks/needle.yaml, or a user's own. Source: ours.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.yaml_file import Document
from mdlm_probe.prompts import toy_language
from mdlm_probe.prompts.prompt import Prompt
from mdlm_probe.prompts.shipped import path_of


@dataclass(frozen=True)
class Form:
    """How a kind of fact is written and asked for, and the words it can be about."""

    name: str
    fact: str
    question: str
    answer: str
    keys: tuple[str, ...]
    values: tuple[str, ...]


@dataclass(frozen=True)
class Needle:
    """A fact, and the question that it alone answers.

    Attributes:
        form: the name of its form.
        key, value: what the fact is about, and what is asked for.
        fact: one sentence.
        question: what follows the filler.
        opening: how the answer begins, up to the value.
        answer: the value, after the space before it if there is one.
    """

    form: str
    key: str
    value: str
    fact: str
    question: str
    opening: str
    answer: str


@dataclass(frozen=True)
class Needles:
    """A needle file read for one lexicon: its forms, and what is written around them.

    Attributes:
        name: the file's.
        intro: before the filler.
        between: between sentences.
        turn: between the question and the answer's opening, in plain text.
        forms: kinds of fact.
    """

    name: str
    intro: str
    between: str
    turn: str
    forms: tuple[Form, ...]

    def digest(self) -> str:
        """A hash of all that the texts are made of, filler included."""
        made = repr((self, toy_language.sentences(toy_language.STRETCH, 0)))
        return hashlib.blake2b(made.encode(), digest_size=8).hexdigest()

    def needle(self, item: int, seed: int) -> Needle:
        """The needle of an item: forms take turns, and no pair of key and value comes twice.

        Raises:
            ProbeError: there are not so many.
        """
        form, number = self.forms[item % len(self.forms)], item // len(self.forms)
        pairs = _pairs(form, seed)
        if number >= len(pairs):
            raise ProbeError(
                f"form '{form.name}' of needles '{self.name}' has only {len(pairs)} needles",
                expected=f"{number + 1}, for {item + 1} in all",
                hint="lower --limit, or give longer word lists",
            )
        key, value = pairs[number]
        before = form.answer.removesuffix("{value}")
        opening = before.rstrip(" ")
        written = (form.fact, form.question, opening, before[len(opening) :] + value)
        return Needle(form.name, key, value, *(_filled(text, key, value) for text in written))

    def prompt(self, needle: Needle, sentences: Sequence[str], at: int | None) -> Prompt:
        """A prompt up to where the answer comes; the fact stands before sentence `at`, if at all.

        It is one turn: a chat model reads text and question as one message, and finds its own
        answer begun.
        """
        lines = list(sentences)
        if at is not None:
            lines.insert(at, needle.fact)
        text = self.intro + self.between.join(lines) + needle.question
        return Prompt(((text, needle.opening),), self.turn, "")


def names(text: str, phrase: str) -> bool:
    """Whether a text holds a phrase as whole words, in whatever case."""
    before = r"(?<!\w)" if phrase[0].isalnum() else ""
    after = r"(?!\w)" if phrase[-1].isalnum() else ""
    return re.search(before + re.escape(phrase) + after, text, re.IGNORECASE) is not None


def _filled(text: str, key: str, value: str) -> str:
    return text.replace("{key}", key).replace("{value}", value)


@lru_cache(maxsize=64)
def _pairs(form: Form, seed: int) -> list[tuple[str, str]]:
    pairs = [(k, v) for k, v in product(form.keys, form.values) if not names(k, v)]
    return random.Random(seed_of("needles", form.name, seed)).sample(pairs, len(pairs))


# ---------------------------------------------------------------------- files

TEXTS = ("fact", "question", "answer")
FIELDS = (*TEXTS, "keys", "values")


@cache
def load(needles: str = "needle", lexicon: str = "full") -> Needles:
    """Reads a needle file for one of its lexicons.

    Raises:
        ProbeError: naming file, line and field of whatever is wrong.
    """
    path = path_of(needles, "needles", ("needle",))
    doc = Document(path)
    doc.only((), ("name", "lexicons", "words"))
    lexicons = doc.get(("lexicons",), dict)
    at = ("lexicons", lexicon)
    if lexicon not in lexicons:
        raise doc.error(at[:1], f"no lexicon '{lexicon}'", "one of " + ", ".join(lexicons))
    doc.only(at, ("intro", "between", "turn", "needles"))
    defaults = {"intro": "", "between": " ", "turn": "\n"}
    around = {name: doc.get((*at, name), str, usual) for name, usual in defaults.items()}
    forms = tuple(_form(doc, (*at, "needles", name)) for name in doc.get((*at, "needles"), dict))
    if not forms:
        raise doc.error((*at, "needles"), "found none", "a needle or more")
    return Needles(doc.get(("name",), str, path.stem), **around, forms=forms)


def _form(doc: Document, at: tuple[str, ...]) -> Form:
    doc.only(at, FIELDS)
    texts = {name: doc.get((*at, name), str, ... if name != "question" else "") for name in TEXTS}
    for slot in ("{key}", "{value}"):
        if texts["fact"].count(slot) != 1:
            raise doc.error((*at, "fact"), f"found {texts['fact']!r}", f"a text with {slot} once")
    if not texts["answer"].endswith("{value}") or texts["answer"].count("{value}") != 1:
        raise doc.error(
            (*at, "answer"), f"found {texts['answer']!r}", "a text that ends in {value}"
        )
    if "{value}" in texts["question"]:
        raise doc.error((*at, "question"), "it gives the {value} away", "a question without it")
    if "{key}" not in texts["question"] + texts["answer"]:
        raise doc.error((*at, "question"), "it does not say what it is about", "a {key} in it")
    lists = {name: _words(doc, (*at, name)) for name in ("keys", "values")}
    frame = " ".join(texts.values())
    for name, word in ((name, word) for name, words in lists.items() for word in words):
        if names(frame.replace("{key}", "").replace("{value}", ""), word):
            raise doc.error((*at, name), f"'{word}' stands in the texts themselves", "other words")
    asked = texts["fact"], texts["question"], texts["answer"]
    return Form(at[-1], *asked, lists["keys"], lists["values"])


def _words(doc: Document, at: tuple[str, ...]) -> tuple[str, ...]:
    """The word list that a field names."""
    name, known = doc.get(at, str), doc.get(("words",), dict)
    if name not in known:
        raise doc.error(at, f"no list '{name}' in words", "one of " + ", ".join(known))
    found = doc.get(("words", name), (str, list))
    words = found.split() if isinstance(found, str) else [str(word) for word in found]
    if not words or "" in words or len(set(words)) < len(words):
        raise doc.error(("words", name), f"found {found!r}", "words, each of them once")
    return tuple(words)
