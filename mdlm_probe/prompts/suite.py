"""The few-shot suite: reads tasks/*.yaml and word lists. No torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.yaml_file import Document
from mdlm_probe.prompts import points
from mdlm_probe.prompts.few_shot_sets import (
    DRAWN,
    MAX_OPTIONS,
    NUMBER_RULES,
    ORDERS,
    Example,
    FewShotSet,
    Task,
    Template,
)
from mdlm_probe.prompts.shipped import path_of


@dataclass(frozen=True)
class Suite:
    """A suite file read for one lexicon: its sets by name, and the words it can use."""

    name: str
    sets: dict[str, FewShotSet]
    words: dict[str, tuple[str, ...]] = field(repr=False)
    answer: str = "letter"
    options: int = 3
    shots: int = 10
    distractors: int = 40

    def digest(self) -> str:
        """A hash of everything the suite's questions are drawn from and written with."""
        sets = self.sets.values()
        parts = [(fs.name, fs.relevant, fs.distractor, fs.template) for fs in sets]
        orders = sorted({fs.order for fs in sets} - {"random"})  # what runs before had no name for
        told = f"{DRAWN} {parts!r}{orders or ''}"
        return hashlib.blake2b(told.encode(), digest_size=8).hexdigest()

    def __getitem__(self, name: str) -> FewShotSet:
        if name not in self.sets:
            raise ProbeError(
                f"suite '{self.name}' has no set '{name}'", expected=", ".join(self.sets)
            )
        return self.sets[name]


SOURCES = ("target", "numbers", "questions", "points")
"""Where a task's examples come from, by the field that says so."""
LEAST_EDGE = 30
"""Coordinates of points along an axis, at least: there are 1,200 of them, none near a border."""
SHOTS = {"shots": 10, "distractors": 40}
FIELDS = ("name", "words", "options", "answer", "shots", "distractors", "template", "lexicons")


@cache
def load(suite: str = "few-shot", lexicon: str = "full", options: int = 0) -> Suite:
    """Reads a suite: every relevant task with every distractor task is a set `RELEVANT-DISTRACTOR`.

    Args:
        suite: a shipped name, or a path.
        lexicon: which of the file's lexicons to draw from.
        options: number of options a question has; 0 for the file's own.

    Raises:
        ProbeError: naming file, line and field of whatever is wrong.
    """
    path = path_of(suite)
    doc = Document(path)
    if "like" in doc.data:
        return _like(doc, lexicon, options)
    doc.only((), (*FIELDS, "relevant", "distractor"))
    count = options or doc.get(("options",), int, 3)
    if not 2 <= count <= MAX_OPTIONS:
        raise doc.error(("options",), f"found {count}", f"2 to {MAX_OPTIONS}")
    answer = doc.get(("answer",), str, "letter")
    if answer not in ("letter", "word"):
        raise doc.error(("answer",), f"found '{answer}'", "letter or word")
    lexicons = doc.get(("lexicons",), dict, {"full": {}})
    if lexicon not in lexicons:
        raise doc.error(("lexicons",), f"no lexicon '{lexicon}'", "one of " + ", ".join(lexicons))
    rules: dict[str, Any] = {}
    if "lexicons" in doc.data:
        doc.only(("lexicons", lexicon), ("words", "numbers", "split"))
        kinds = {"words": int, "numbers": list, "split": str}
        rules = {
            name: doc.get(("lexicons", lexicon, name), kinds[name]) for name in lexicons[lexicon]
        }
    words = _words(doc, rules.get("words"))
    template = _template(doc)
    sides = {
        side: [_task(doc, (side, name), words, rules, count) for name in doc.get((side,), dict)]
        for side in ("relevant", "distractor")
    }
    sets = {
        f"{r.name}-{d.name}": FewShotSet(f"{r.name}-{d.name}", r, d, template)
        for r in sides["relevant"]
        for d in sides["distractor"]
    }
    shots = {name: doc.get((name,), int, default) for name, default in SHOTS.items()}
    return Suite(doc.get(("name",), str, path.stem), sets, words, answer, count, **shots)


def _like(doc: Document, lexicon: str, options: int) -> Suite:
    """Another suite with its relevant examples in an order of their own."""
    doc.only((), ("name", "like", "order"))
    order = doc.get(("order",), str)
    if order not in ORDERS:
        raise doc.error(("order",), f"found '{order}'", "one of " + ", ".join(ORDERS))
    base = load(doc.get(("like",), str), lexicon, options)
    sets = {name: replace(one, order=order) for name, one in base.sets.items()}
    return replace(base, name=doc.get(("name",), str, doc.path.stem), sets=sets)


def _template(doc: Document) -> Template:
    fields = ("question", "option", "between", "answer", "turn", "end")
    doc.only(("template",), fields)
    template = Template(**{name: doc.get(("template", name), str) for name in fields})
    for name, slot in (("question", "{options}"), ("option", "{text}"), ("answer", "{answer}")):
        if getattr(template, name).count(slot) != 1:
            raise doc.error(
                ("template", name), repr(getattr(template, name)), f"a text with {slot} once"
            )
    sample = Example(("a", "b"), 0, "c")
    try:
        template.ask(sample)
    except (KeyError, IndexError, ValueError) as error:
        known = "only {options} and {question}, or {letter} and {text}; other braces doubled"
        raise doc.error(("template",), f"a slot that nothing fills: {error}", known) from None
    return template


def _words(doc: Document, first: int | None) -> dict[str, tuple[str, ...]]:
    source = doc.get(("words",), (str, dict), {})
    if isinstance(source, str):
        base = doc.path.parent / source
        if not base.is_dir():
            raise doc.error(("words",), f"no folder {base}", "a folder of CATEGORY.txt files")
        lists = {p.stem: p.read_text(encoding="utf-8").split() for p in sorted(base.glob("*.txt"))}
    else:
        lists = {name: doc.get(("words", name), list) for name in source}
    for name, words in lists.items():
        doubled = sorted({str(w) for w in words if words.count(w) > 1})
        if doubled:
            raise doc.error(
                ("words", name), f"'{doubled[0]}' stands twice", "every word once in a list"
            )
    return {name: tuple(map(str, words[:first])) for name, words in lists.items()}


def _task(
    doc: Document,
    at: tuple[str, str],
    words: dict[str, tuple[str, ...]],
    rules: dict[str, Any],
    count: int,
) -> Task:
    doc.only(at, (*SOURCES, "wrong", "span"))
    sources = [name for name in SOURCES if name in doc.get(at, dict)]
    if len(sources) != 1:
        found = f"found {' and '.join(sources) or 'none of them'}"
        raise doc.error(at, found, "one of " + ", ".join(SOURCES))
    name, only = at[1], rules.get("split", "")
    if sources == ["questions"]:
        return Task(name, count, questions=_questions(doc, (*at, "questions"), count))
    if sources == ["points"]:
        return Task(name, count, questions=_points(doc, at, rules, count))
    if sources == ["numbers"]:
        rule = doc.get((*at, "numbers"), str)
        if rule not in NUMBER_RULES:
            raise doc.error((*at, "numbers"), f"found '{rule}'", "smallest or largest")
        span = _span(doc, at, rules.get("numbers", [1, 1000]), count)
        return Task(name, count, numbers=rule, span=span, only=only)
    target, wrong = doc.get((*at, "target"), str), doc.get((*at, "wrong"), list)
    for category in (target, *wrong):
        if not words.get(str(category)):
            filled = [name for name, listed in words.items() if listed]
            raise doc.error(at, f"no word list '{category}'", "one of " + ", ".join(filled))
    others = {word for category in wrong for word in words[category]}
    if len(others) < count - 1:
        found = f"the wrong options come from {len(others)} words"
        raise doc.error((*at, "wrong"), found, f"lists of {count - 1} words or more together")
    shared = set(words[target]) & others
    if shared:
        raise doc.error(
            at, f"'{sorted(shared)[0]}' is both right and wrong", "lists that share no word"
        )
    return Task(name, count, target=words[target], wrong=tuple(words[c] for c in wrong), only=only)


def _points(
    doc: Document, at: tuple[str, str], rules: dict[str, Any], count: int
) -> tuple[Example, ...]:
    rule = doc.get((*at, "points"), str)
    if rule not in points.RULES:
        raise doc.error((*at, "points"), f"found '{rule}'", "one of " + ", ".join(points.RULES))
    if count != len(points.LABELS):
        raise doc.error((*at, "points"), f"{count} options", f"{len(points.LABELS)}: its labels")
    low, high = _span(doc, at, rules.get("numbers", [1, 100]), LEAST_EDGE)
    return points.questions(rule, low, high)


def _span(doc: Document, at: tuple[str, str], default: list[int], count: int) -> tuple[int, int]:
    span = doc.get((*at, "span"), list, default)
    if len(span) != 2 or not all(isinstance(n, int) for n in span) or span[1] - span[0] < count - 1:
        expected = f"two whole numbers, {count} numbers or more apart: [1, 1000]"
        raise doc.error((*at, "span"), f"found {span!r}", expected)
    return span[0], span[1]


def _questions(doc: Document, at: tuple[str, ...], count: int) -> tuple[Example, ...]:
    path = doc.path.parent / doc.get(at, str)
    if not path.is_file():
        raise doc.error(at, f"no file {path}", "a JSONL file of questions")
    try:
        # not splitlines(): a JSON text may hold U+2028 and its like as they are
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise doc.error(at, f"cannot read {path}: {error}", "JSONL in UTF-8") from None
    examples = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            examples.append(_question(path, number, line, count))
    if not examples:
        raise doc.error(at, f"no questions in {path}", "one JSON object per line")
    return tuple(dict.fromkeys(examples))


def _question(path: Path, number: int, line: str, count: int) -> Example:
    def fault(name: str, found: str, expected: str) -> ProbeError:
        return ProbeError(
            f"{path}, line {number}, field '{name}': {found}",
            expected=expected,
            hint='a line looks like {"options": ["a", "b", "c"], "answer": "b"}',
        )

    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise fault("the line", str(error), "one JSON object") from None
    if not isinstance(row, dict):
        raise fault("the line", f"found {type(row).__name__}", "one JSON object")
    options, answer = row.get("options"), row.get("answer")
    if (
        not isinstance(options, list)
        or not all(isinstance(option, str | int | float) for option in options)
        or not len(options) == len(set(map(str, options))) == count
    ):
        raise fault("options", f"found {options!r}", f"a list of {count} different texts")
    if answer not in options:
        raise fault("answer", f"found {answer!r}", "one of the options")
    return Example(tuple(map(str, options)), options.index(answer), str(row.get("question", "")))
