"""Finding messages in a rendered chat: by marks around them, or by their texts. No torch."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from mdlm_probe.core.errors import ProbeError

Message = dict[str, str]

BEGIN, END = "\ue001", "\ue002"
"""Characters that no text holds, to find messages in a rendered chat."""


def check_kept(model: str, messages: Sequence[Message], text: str) -> None:
    """Refuses a rendered chat that lacks a message, in order; a system's may stand anywhere.

    Whitespace around a message doesn't count: templates trim it.

    Raises:
        ProbeError: naming the model, whose template it is, and the message.
    """
    at = 0
    for message in messages:
        content, is_system = message["content"].strip(), message["role"] == "system"
        found = text.find(content, 0 if is_system else at)
        if found < 0:
            short = "" if BEGIN in content else f": '{textwrap.shorten(content, 60)}'"
            raise ProbeError(
                f"the chat template of {model} leaves out or changes the texts of messages: "
                f"the {message['role']}'s{short}",
                expected="each message as it is, in order",
                hint="--style base writes plain text",
            )
        at = at if is_system else found + len(content)


def mark(text: str) -> str:
    """A message's text with marks around what templates keep when they trim it."""
    kept = text.strip()
    return text.replace(kept, f"{BEGIN}{kept}{END}", 1)


def of_turn(question: str, answer: str) -> tuple[Message, Message]:
    """The two messages of a turn."""
    return {"role": "user", "content": question}, {"role": "assistant", "content": answer}
