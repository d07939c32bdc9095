"""What two texts have in common, token by token or word by word. No torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Literal

from rapidfuzz.distance import Levenshtein

from mdlm_probe.examples import Differences

Kind = Literal["same", "gone", "new"]


def words(text: str) -> list[str]:
    """A text cut into words and marks, each with the space before it; joined they are the text."""
    return re.findall(r"\s*\w+|\s*[^\w\s]|\s+", text)


def differences(label: str, first: Sequence[str], second: Sequence[str]) -> Differences:
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
    return Differences(label, tuple((kind, text) for kind, text in found if text))
