"""Answers that were written on a canvas: in pieces, filling in, beside one another. No torch."""

from __future__ import annotations

import json

from mdlm_probe.examples import Differences, Filling
from mdlm_probe.examples._differences import differences, words
from mdlm_probe.examples._rows import Fields

Places = tuple[tuple[int, str], ...]


def places(row: Fields) -> Places:
    """The step and the text of every place of a canvas; none where the row doesn't say."""
    try:
        texts = json.loads(row.get("canvas") or "[]")
        steps = [int(step) for step in row.get("unmasked", "").split()]
    except ValueError:
        return ()
    if not isinstance(texts, list) or len(texts) != len(steps):
        return ()
    return tuple((step, str(text)) for step, text in zip(steps, texts, strict=True))


def filling(label: str, row: Fields) -> tuple[Filling, ...]:
    """The canvas filling in, where the row says how."""
    found = places(row)
    return (Filling(label, found),) if found else ()


def tokens(row: Fields) -> list[str] | None:
    """An answer's tokens as text; None where the row doesn't say, or tokens cut characters."""
    written = [text for step, text in places(row) if step > 0]
    own = written[: int(row.get("answer_tokens") or 0)]
    return own if "".join(own) == row["answer"] else None


def beside(label: str, first: Fields, second: Fields) -> Differences:
    """How the second row's answer differs from the first's: by tokens, or else by words."""
    ours, theirs = tokens(first), tokens(second)
    if ours is None or theirs is None:
        ours, theirs = words(first["answer"]), words(second["answer"])
    return differences(label, ours, theirs)
