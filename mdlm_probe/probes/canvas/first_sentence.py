"""Whether an answer is right: its first sentence says so, and what it adds doesn't count. No torch.

An exact match asks that an answer stops where the right one does; a search of the whole text is won
by whoever goes on for long enough, which is what a long canvas invites.
"""

from __future__ import annotations

import re


def first_sentence(text: str) -> str:
    """The first line with something in it, up to the first full stop, question or exclamation mark
    that a space or the line's end follows.
    """
    line = next((line for line in text.splitlines() if line.strip()), "")
    return re.split(r"(?<=[.!?])(?:\s|$)", line.strip(), maxsplit=1)[0]


def holds(text: str, right: str) -> bool:
    """Whether a text's first sentence holds the right answer as whole words, case ignored.

    Args:
        text: the answer.
        right: the right one; nothing holds an empty one.
    """
    wanted = re.escape(right.strip().casefold())
    found = re.search(rf"(?<!\w){wanted}(?!\w)", first_sentence(text).casefold())
    return bool(wanted) and found is not None
