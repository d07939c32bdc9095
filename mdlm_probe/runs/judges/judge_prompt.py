"""The judge prompt of tasks/judge.yaml: what judges read, and how their replies are read."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mdlm_probe.core.yaml_file import Document
from mdlm_probe.prompts import shipped
from mdlm_probe.prompts.prompt import MASK, Prompt

VERDICTS = {"A>>B": 2, "A>B": 1, "A=B": 0, "B>A": -1, "B>>A": -2}
"""The five verdicts, and how strongly each is for text A."""

SLOTS = ("{prompt}", "{a}", "{b}")


@dataclass(frozen=True)
class JudgePrompt:
    """What a judge is asked.

    Attributes:
        version: a number that rises with every change of words.
        system, user: the two messages that a chat endpoint gets.
        marks: how each verdict is spelt in a reply.
        question, turn, opening, closing: what stands around the letter that a local model is asked.
        digest: a hash of all of it.
    """

    version: int
    system: str
    user: str
    marks: dict[str, str] = field(hash=False)
    question: str
    turn: str
    opening: str
    closing: str
    digest: str

    def messages(self, prompt: str, a: str, b: str) -> list[dict[str, str]]:
        """The messages that ask a chat endpoint."""
        asked = self.user.format(prompt=prompt, a=a, b=b)
        return [{"role": "system", "content": self.system}, {"role": "user", "content": asked}]

    def letter(self, prompt: str, a: str, b: str, masked: bool) -> Prompt:
        """The prompt that asks a local model for a letter: at its end, or at its last mask."""
        answer = self.opening + (MASK + self.closing if masked else "")
        asked = self.question.format(prompt=prompt, a=a, b=b)
        return Prompt(((asked, answer),), self.turn, "")

    def verdict(self, reply: str) -> str:
        """The verdict that a reply ends in; "unparsable" where it has none.

        The last line with a well-formed mark counts, whatever follows it (a fence, a sentence); two
        different marks in it are no verdict. Spaces within a mark count for nothing.
        """
        names = {_tight(mark): name for name, mark in self.marks.items()}
        marks = "|".join("[ \\t]*".join(map(re.escape, mark)) for mark in names)
        lines = [set(map(_tight, re.findall(marks, line))) for line in reply.splitlines()]
        found = next((line for line in reversed(lines) if line), set())
        return names[found.pop()] if len(found) == 1 else "unparsable"


def _tight(mark: str) -> str:
    return "".join(mark.split())


def path() -> Path:
    """The file of the judge prompt."""
    return shipped.folder() / "judge.yaml"


@cache
def load(file: Path | None = None) -> JudgePrompt:
    """Reads the judge prompt.

    Raises:
        ProbeError: naming file, line and field of whatever is wrong.
    """
    doc = Document(file or path())
    doc.only((), ("version", "system", "user", "marks", "letter"))
    doc.only(("marks",), tuple(VERDICTS))
    doc.only(("letter",), ("question", "turn", "opening", "closing"))
    read: dict[str, Any] = {
        "version": doc.get(("version",), int),
        "system": doc.get(("system",), str),
        "user": _template(doc, ("user",)),
        "marks": {name: doc.get(("marks", name), str) for name in VERDICTS},
        "question": _template(doc, ("letter", "question")),
    }
    read |= {name: doc.get(("letter", name), str) for name in ("turn", "opening", "closing")}
    marks = list(map(_tight, read["marks"].values()))
    if any(not a or (a in b and i != j) for i, a in enumerate(marks) for j, b in enumerate(marks)):
        raise doc.error(("marks",), f"found {marks}", "five marks, none a part of another")
    digest = hashlib.blake2b(repr(sorted(read.items())).encode(), digest_size=8).hexdigest()
    return JudgePrompt(**read, digest=digest)


def _template(doc: Document, at: tuple[str, ...]) -> str:
    text = doc.get(at, str)
    if any(text.count(slot) != 1 for slot in SLOTS):
        raise doc.error(at, "not every slot stands once", " ".join(SLOTS))
    try:
        text.format(prompt="", a="", b="")
    except (KeyError, IndexError, ValueError) as error:
        known = "no other slots; other braces doubled"
        raise doc.error(at, f"a slot that nothing fills: {error}", known) from None
    return text
