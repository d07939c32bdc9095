"""Files of prompts: a JSONL file, or a text file of a prompt per line. No torch."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import benchmark_lines
from mdlm_probe.prompts.prompt import MASK, Text

HINT = 'a line looks like {"prompt": "Once upon a time", "continuation": " there was a king."}'
PLAIN_HINT = "every line is a prompt, empty ones apart"
STDIN = Path("stdin")
"""Stands for the standard input, by identity: a file of this name is another path."""


def read(path: Path, seen: dict[str, str]) -> Iterator[Text]:
    """The texts of a file; `seen` holds where each id read so far stands."""
    try:
        data = _stdin() if path is STDIN else path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise ProbeError(f"cannot read {path}: {reason}", expected="a file of prompts") from None
    data = data.removeprefix(b"\xef\xbb\xbf")
    # not splitlines(): a JSON text may hold U+2028 and its like as they are
    lines: Iterable[tuple[int, Any]] = enumerate(data.split(b"\n"), 1)
    if path.suffix == ".json" and (rows := benchmark_lines.rows_of(data)) is not None:
        lines = enumerate(rows, 1)
    filled = [(n, line) for n, line in lines if not isinstance(line, bytes) or line.strip()]
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

    def __init__(self, path: Path, number: int, line: Any, plain: bool) -> None:
        self.path, self.number, self.hint = path, number, _hint(plain)
        try:
            self.row = line if not isinstance(line, bytes) else self._read(line, plain)
        except UnicodeDecodeError as error:
            raise self.fault("the line", f"not UTF-8: {error.reason}", "text in UTF-8") from None
        except (ValueError, RecursionError) as error:
            raise self.fault("the line", f"not JSON: {error}", "one JSON object") from None
        if not isinstance(self.row, dict):
            raise self.fault("the line", f"found {type(self.row).__name__}", "one JSON object")

    @staticmethod
    def _read(line: bytes, plain: bool) -> Any:
        text = line.decode("utf-8")
        return {"prompt": text.removesuffix("\r")} if plain else json.loads(text)

    def fault(self, field: str, found: str, expected: str) -> ProbeError:
        where = f"{self.path}, line {self.number}, field '{field}'"
        return ProbeError(f"{where}: {found}", expected=expected, hint=self.hint)

    def text(self) -> Text:
        follows, answer = self.row.get("continuation"), self.row.get("answer")
        said, then = self._said()
        history = tuple(zip(said[:-1:2], said[1:-1:2], strict=True))
        return Text(
            self._named(self._ids(), str(self.number)),
            self._named(("task", "subcategory", "category", "primary_tag"), self.path.stem),
            said[-1],
            "" if follows is None else self._plain("continuation", follows, needed=False),
            "" if answer in (None, "") else self._scalar("answer", answer),
            history,
            then,
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

    def _ids(self) -> tuple[str, ...]:
        """Fields of which the first that is there is the line's id."""
        session = ("session_id",) if "conversation_input" in self.row else ()
        return (*session, "id", "uid", "question_id")

    def _said(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What was said up to the prompt, and what the user says once it is answered."""
        known = next((n for n in ("conversation_input", "turns") if n in self.row), "")
        if "prompt" in self.row or not known:
            if "prompt" not in self.row:
                raise self.fault("prompt", "is missing", "a text")
            return (self._plain("prompt", self.row["prompt"]),), ()
        said, then = benchmark_lines.conversation(self.row, self.fault)
        field = f"{known}.content"
        # an assistant may have said nothing
        checked = [self._plain(field, one, needed=place % 2 == 0) for place, one in enumerate(said)]
        return tuple(checked), tuple(self._plain("turns", one) for one in then)

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
