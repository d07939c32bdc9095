"""Prompts to continue: the shipped ones, those of the small language, and a user's own. No torch.

Shipped are two folders of tasks/NAME/TASK.jsonl. `decay`: prose, question answering, code,
arithmetic, with their continuations. `open`: requests as users of a chat type them, without; sums
have their answers. Source: ours; arXiv 2510.03289 measures four task types, and publishes neither
their names nor its prompts.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from mdlm_probe.core.catalog import unknown
from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import few_shot_sets, shipped, toy_language
from mdlm_probe.prompts import suite as tasks
from mdlm_probe.prompts.prompt import MASK, Prompt

LEXICONS = ("full", "small")
SMALL = 50
"""Prompts of each of the small language's tasks."""
WORDS = (40, 64)
"""Fewest and most words of a prose prompt in the small language, commas and stops among them."""
FOLLOWING = 32
"""Words of a prose continuation in the small language."""
ANSWERED = (5, 3)
"""Answered examples in a few-shot prompt of the small language, and in its continuation.

Where the prompt ends in an open question, the first of the latter is its answer."""
HINT = 'a line looks like {"prompt": "Once upon a time", "continuation": " there was a king."}'
PLAIN_HINT = "every line is a prompt, empty ones apart"
STDIN = Path("stdin")
"""Stands for the standard input, by identity: a file of this name is another path."""


@dataclass(frozen=True)
class Text:
    """A text to continue.

    Attributes:
        id: its name, different from all others loaded with it.
        task: the type of text it is.
        prompt: the text that a model sees.
        continuation: what follows it, joined without anything between; "" where nobody knows.
        answer: the right answer, for an exact match; "" where there is none.
    """

    id: str
    task: str
    prompt: str
    continuation: str = ""
    answer: str = ""


@cache
def load(prompts: str = "decay", lexicon: str = "full") -> tuple[Text, ...]:
    """Texts to continue, in the order of their file.

    A JSONL file has one object per line. Its fields: `prompt` (a text, needed), `id` (default: the
    number of the line), `task` (default: the file's name), `continuation` and `answer` (default:
    ""); others are ignored. Lines of Arena-Hard are read as they are: `uid`, `prompt` and
    `subcategory`, or `question_id`, `category` and the first of `turns`.

    A .txt file has one prompt per line; its id is the line's number, its task the file's name. The
    standard input is JSONL if its first line with something in it is a JSON object, else such a
    text; it is read once.

    Args:
        prompts: a shipped name, the path of a JSONL or .txt file, or "-": the standard input.
        lexicon: of a shipped name, "full", or "small" for the bundled models' vocabulary; a file of
            one's own has only one.

    Raises:
        ProbeError: naming file, line and field of whatever is wrong.
    """
    if lexicon not in LEXICONS:
        raise ProbeError(f"no lexicon '{lexicon}'", expected="one of " + ", ".join(LEXICONS))
    files = paths(prompts)
    if lexicon == "small" and not _is_path(prompts):
        return (*_prose(), *_questions(opened=prompts == "open"))
    seen: dict[str, str] = {}
    return tuple(text for path in files for text in _read(path, seen))


def digest(prompts: str = "decay", lexicon: str = "full") -> str:
    """A hash of the texts: with other texts, a measurement is another one."""
    loaded = load(prompts, lexicon)
    found: list[tuple[str, ...]] = [(t.id, t.task, t.prompt, t.continuation) for t in loaded]
    # texts without answers keep the hash that finished runs have written down
    if any(t.answer for t in loaded):
        found += [(t.answer,) for t in loaded]
    return hashlib.blake2b(repr(found).encode(), digest_size=8).hexdigest()


def sources(prompts: str, lexicon: str, **_: Any) -> dict[str, str]:
    """What a probe of these prompts reads, as a hash: other texts make another measurement."""
    return {"prompts": digest(prompts, lexicon)}


def corpus(texts: Sequence[Text]) -> str:
    """All that is known of some texts as one, with a blank line between them."""
    return "\n\n".join(text.prompt + text.continuation for text in texts)


def paths(prompts: str) -> tuple[Path, ...]:
    """The files of prompts: a folder's in tasks/, or a user's own; `STDIN` for "-".

    Raises:
        ProbeError: there are none of that name.
    """
    if _is_path(prompts):
        return (STDIN if prompts == "-" else Path(prompts),)
    found = tuple(sorted((shipped.folder() / prompts).glob("*.jsonl"))) if prompts else ()
    if not found:
        folders = {path.parent.name for path in shipped.folder().glob("*/*.jsonl")}
        known = sorted(folders - {"lm_eval"})  # documents of tasks, no prompts
        hint = "or the path of a .jsonl or .txt file, or - for the standard input"
        raise ProbeError(f"no prompts named '{prompts}'", expected=", ".join(known), hint=hint)
    return found


def _is_path(prompts: str) -> bool:
    return prompts == "-" or prompts.endswith((".jsonl", ".json", ".txt")) or "/" in prompts


# ---------------------------------------------------------------------- files


def _read(path: Path, seen: dict[str, str]) -> Iterator[Text]:
    """The texts of a file; `seen` holds where each id read so far stands."""
    try:
        data = _stdin() if path is STDIN else path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise ProbeError(f"cannot read {path}: {reason}", expected="a file of prompts") from None
    # not splitlines(): a JSON text may hold U+2028 and its like as they are
    lines = enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1)
    filled = [(number, line) for number, line in lines if line.strip()]
    plain = path.suffix == ".txt" or (path is STDIN and bool(filled) and not _object(filled[0][1]))
    for number, content in filled:
        line = _Line(path, number, content, plain)
        text = line.text()
        if text.id in seen:
            raise line.fault("id", f"'{text.id}' stands in {seen[text.id]}, too", "every id once")
        seen[text.id] = f"{path.name}, line {number}"
        yield text
    if not filled:
        expected = f"one {'prompt' if plain else 'JSON object'} per line"
        raise ProbeError(f"no prompts in {path}", expected=expected, hint=_hint(plain))


@cache
def _stdin() -> bytes:
    """The standard input, which can be read only once.

    Raises:
        OSError: it is closed, or can't be read.
    """
    if sys.stdin is None:
        raise OSError("it is closed")
    return sys.stdin.buffer.read()


def _object(line: bytes) -> bool:
    """Whether a line is a JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _hint(plain: bool) -> str:
    return PLAIN_HINT if plain else HINT


class _Line:
    """One line of a file of prompts, JSON or a plain prompt; errors name it and the field."""

    def __init__(self, path: Path, number: int, line: bytes, plain: bool) -> None:
        self.path, self.number, self.hint = path, number, _hint(plain)
        try:
            text = line.decode("utf-8")
            self.row = {"prompt": text.removesuffix("\r")} if plain else json.loads(text)
        except UnicodeDecodeError as error:
            raise self.fault("the line", f"not UTF-8: {error.reason}", "text in UTF-8") from None
        except (ValueError, RecursionError) as error:
            raise self.fault("the line", f"not JSON: {error}", "one JSON object") from None
        if not isinstance(self.row, dict):
            raise self.fault("the line", f"found {type(self.row).__name__}", "one JSON object")

    def fault(self, field: str, found: str, expected: str) -> ProbeError:
        where = f"{self.path}, line {self.number}, field '{field}'"
        return ProbeError(f"{where}: {found}", expected=expected, hint=self.hint)

    def text(self) -> Text:
        follows, answer = self.row.get("continuation"), self.row.get("answer")
        return Text(
            self._named(("id", "uid", "question_id"), str(self.number)),
            self._named(("task", "subcategory", "category"), self.path.stem),
            self._prompt(),
            "" if follows is None else self._plain("continuation", follows, needed=False),
            "" if answer in (None, "") else self._scalar("answer", answer),
        )

    def _named(self, fields: tuple[str, ...], default: str) -> str:
        """The first of these fields that the line has."""
        for field in fields:
            if self.row.get(field) is not None:
                return self._scalar(field, self.row[field])
        return default

    def _scalar(self, field: str, value: Any) -> str:
        """A text or a whole number, as a text."""
        number = isinstance(value, int) and not isinstance(value, bool)
        return str(value) if number else self._plain(field, value)

    def _prompt(self) -> str:
        if "prompt" in self.row or "turns" not in self.row:
            if "prompt" not in self.row:
                raise self.fault("prompt", "is missing", "a text")
            return self._plain("prompt", self.row["prompt"])
        turns = self.row["turns"]
        first = turns[0] if isinstance(turns, list) and turns else None
        if not isinstance(first, dict) or "content" not in first:
            raise self.fault("turns", f"found {_short(turns)}", 'a list like [{"content": "..."}]')
        return self._plain("turns.content", first["content"])

    def _plain(self, field: str, value: Any, needed: bool = True) -> str:
        if not isinstance(value, str):
            raise self.fault(field, f"found {_short(value)}", "a text")
        if needed and not value.strip():
            raise self.fault(field, "is empty", "a text with something to read in it")
        if MASK in value:
            raise self.fault(field, "holds U+E000, which stands for a mask", "a text without it")
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise self.fault(field, "holds half a surrogate pair", "whole characters")
        return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


# ---------------------------------------------------------------------- the small language


def _prose() -> Iterator[Text]:
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


def _questions(opened: bool) -> Iterator[Text]:
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
        turns = tuple(few_shot_sets.shot(template, example, "word") for example in shots)
        first = turns[:before] + ((few_shot_sets.ask(template, asked, None),) if opened else ())
        prompt, whole = (
            Prompt(part, template.turn, template.end).text() for part in (first, turns)
        )
        answer = few_shot_sets.answer_text(asked, asked.right, "word") if opened else ""
        name = f"question-{number + 1:02}"
        yield Text(name, "question", prompt, whole[len(prompt) :], answer)


Context = Literal["left", "both"]


def chosen(texts: Sequence[Text], tasks: Sequence[str], limit: int, context: Context) -> list[Text]:
    """The first `limit` texts of each of some tasks, or of "all", in the order of the texts.

    Raises:
        ProbeError: an unknown task, or text wanted on both sides of masks where none follows.
    """
    known = list(dict.fromkeys(text.task for text in texts))
    for name in tasks:
        if name not in (*known, "all"):
            raise unknown("task", name, [*known, "all"])
    wanted = known if "all" in tasks else tasks
    found = [text for task in known if task in wanted for text in _of(texts, task)[:limit]]
    lacking = [text.id for text in found if context == "both" and not text.continuation]
    if lacking:
        raise ProbeError(
            f"--context both: {len(lacking)} prompts have no continuation, such as '{lacking[0]}'",
            expected="text for the right of the masks, as the field 'continuation'",
            hint="--context left needs none",
            option="context",
        )
    return found


def _of(texts: Sequence[Text], task: str) -> list[Text]:
    return [text for text in texts if text.task == task]
