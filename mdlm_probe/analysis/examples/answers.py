"""Answers that were written on a canvas: in pieces, filling in, beside one another. No torch."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, Literal

from rapidfuzz.distance import Levenshtein

from mdlm_probe.analysis.examples.parts import CanvasPart, DifferencePart
from mdlm_probe.analysis.examples.rows import Fields
from mdlm_probe.core.csv_text import text_from

Places = tuple[tuple[int, str], ...]


def places(row: Fields) -> Places:
    """The step and the text of every place of a canvas; none where the row doesn't say."""
    texts = _pieces(row.get("canvas") or "[]")
    try:
        steps = [int(step) for step in row.get("unmasked", "").split()]
        texts = [bytes(t).decode("utf-8", "replace") if isinstance(t, list) else t for t in texts]
    except (TypeError, ValueError):
        return ()
    if len(texts) != len(steps):
        return ()
    return tuple((step, str(text)) for step, text in zip(steps, texts, strict=True))


def _pieces(field: str) -> list[Any]:
    """The list that a field holds: JSON, whose escapes earlier versions escaped once more."""
    for text in (field, text_from(field)):
        with suppress(ValueError, RecursionError):
            found = json.loads(text)
            return found if isinstance(found, list) else []
    return []


def filling(label: str, row: Fields) -> tuple[CanvasPart, ...]:
    """The canvas filling in, where the row says how."""
    found = places(row)
    return (CanvasPart(label, found),) if found else ()


def tokens(row: Fields) -> list[str] | None:
    """An answer's tokens as text; None where the row doesn't say, or tokens cut characters."""
    written = [text for step, text in places(row) if step > 0]
    own = written[: int(row.get("answer_tokens") or 0)]
    return own if "".join(own) == row["answer"] else None


def beside(label: str, first: Fields, second: Fields) -> DifferencePart:
    """How the second row's answer differs from the first's: by its tokens, or else by its words."""
    ours, theirs = tokens(first), tokens(second)
    if ours is None or theirs is None:
        ours, theirs = words(first["answer"]), words(second["answer"])
    return differences(label, ours, theirs)


Kind = Literal["same", "gone", "new"]


def words(text: str) -> list[str]:
    """A text cut into words and marks, each with the space before it; joined they are the text."""
    return re.findall(r"\s*\w+|\s*[^\w\s]|\s+", text)


def differences(label: str, first: Sequence[str], second: Sequence[str]) -> DifferencePart:
    """How the second text differs from the first, with the fewest changes (Levenshtein).

    Args:
        label: what the second is.
        first, second: their tokens or words, as text.
    """
    known = {text: number for number, text in enumerate(dict.fromkeys((*first, *second)))}
    ours, theirs = ([known[text] for text in texts] for texts in (first, second))
    found: list[tuple[Kind, str]] = []
    changes = Levenshtein.opcodes(ours, theirs)
    for same, stretch in groupby(changes, key=lambda change: change.tag == "equal"):
        run = list(stretch)
        before = "".join(first[run[0].src_start : run[-1].src_end])
        after = "".join(second[run[0].dest_start : run[-1].dest_end])
        found += [("same", before)] if same else [("gone", before), ("new", after)]
    return DifferencePart(label, tuple((kind, text) for kind, text in found if text))
