"""Finding messages in a rendered chat: by marks around them, or by their texts. No torch."""

from __future__ import annotations

from collections.abc import Sequence

Message = dict[str, str]

BEGIN, END = "\ue001", "\ue002"
"""Characters that no text holds, to find messages in a rendered chat."""


def lost(messages: Sequence[Message], text: str) -> Message | None:
    """The first message that isn't in a rendered chat, in order; a system's may stand anywhere.

    Whitespace around a message doesn't count: templates trim it.
    """
    at = 0
    for message in messages:
        content, is_system = message["content"].strip(), message["role"] == "system"
        found = text.find(content, 0 if is_system else at)
        if found < 0:
            return message
        at = at if is_system else found + len(content)
    return None


def mark(text: str) -> str:
    """A message's text with marks around what templates keep when they trim it."""
    kept = text.strip()
    return text.replace(kept, f"{BEGIN}{kept}{END}", 1)


def of_turn(question: str, answer: str) -> tuple[Message, Message]:
    """The two messages of a turn."""
    return {"role": "user", "content": question}, {"role": "assistant", "content": answer}
