"""A stand-in for a tokenizer that can't be had: it counts tokens by the usual rule for words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple
from zlib import crc32

from mdlm_probe.models._border import Border
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.models._messages import Message

DIGITS = {128256: 3, 151936: 1, 152064: 1, 49152: 1}
"""Digits of a number that one token has, at most, by the vocabulary of known tokenizers: Llama 3's,
Qwen's and Dream's, SmolLM2's."""
UNKNOWN = 2
"""The same of others."""
ERRORS = 0.06, 0.15
"""How far counts are off, with known digits and without: measured on the shipped prompts, plain and
as chats, with the tokenizers of Llama 3 and Qwen (at most 0.052 and 0.12), rounded up. Chats of a
few words are up to three tokens longer."""


class RoughBorder(Border):
    """Tokens are words, runs of signs, digits and masks; ids below 0, but for masks."""

    is_rough = True
    start, pad, ordinary, mask_text = (), 0, (0,), ""

    def __init__(self, entry: Checkpoint) -> None:
        self.entry, self.template, self.specials = entry, "ChatML", {}

    @property
    def error(self) -> float:
        """How far counts are off, as a share."""
        return ERRORS[self.entry.geometry.get("vocab") not in DIGITS]

    @property
    def vocab(self) -> int:
        """As many ids as the network has rows; where that is unknown, the known tokens'."""
        known = 1 + max((self.entry.mask_id or 0, *self.entry.eos_ids))
        return max(known, self.entry.geometry.get("vocab", 0))

    def token(self, text: str, after: str = "", *, inside: bool = False) -> int:
        """Some id."""
        return 0

    def opening(self, ids: Sequence[int]) -> int:
        """None."""
        return 0

    def _rendered(self, messages: Sequence[Message], opened: bool) -> str:
        """Every chat template in use here takes about as many tokens a message as this one."""
        parts = [f"<|start|>{m['role']}\n{m['content']}<|end|>\n" for m in messages]
        return "".join(parts) + "<|start|>assistant\n" * opened

    @cached_property
    def _cutter(self) -> RoughCutter:  # type: ignore[override]
        digits = DIGITS.get(self.entry.geometry.get("vocab", 0), UNKNOWN)
        return RoughCutter(digits, self.vocab)


class RoughCutter(NamedTuple):
    """Cuts texts as byte-level tokenizers do before they look into their vocabulary.

    Attributes:
        digits: of a number, for each token.
        vocab: how many ids there are.
    """

    digits: int
    vocab: int

    def ids(self, text: str, inside: bool) -> list[int]:
        """A number below 0 for each token: prompts that differ are told apart.

        No token reaches from one line into the next, unless that begins with white space, and most
        lines of a few-shot prompt stand in others, too.
        """
        found: list[int] = []
        lines, held = text.split("\n"), ""
        for line in lines:
            if held and line[:1].strip():
                found += _ids(self.digits, self.vocab, held)
                held = ""
            held += line + "\n"
        return found + list(_ids(self.digits, self.vocab, held[:-1]))

    def beginnings(self, text: str, inside: bool) -> list[int]:
        """Where in a text each of its tokens begins."""
        return [found.start() for found in WORDS[self.digits].finditer(text)]

    def decode(self, ids: Sequence[int]) -> str:
        """A question mark for each."""
        return "?" * len(ids)


@lru_cache(maxsize=2**13)
def _ids(digits: int, vocab: int, text: str) -> tuple[int, ...]:
    return tuple(-1 - crc32(word.encode()) % vocab for word in WORDS[digits].findall(text))


def _words(digits: int) -> re.Pattern[str]:
    """Special tokens, words with what stands before them, digits, runs of signs, white space.

    Of a long run of signs no vocabulary has all: it is several tokens.
    """
    rule = (
        r"<\|\w+\|>|'(?:s|t|re|ve|m|ll|d)\b|[^\r\n\w]?[^\W\d_]+|\d{1,%d}"
        r"| ?(?:[^\s\w]|_){1,8}[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    return re.compile(rule % digits, re.IGNORECASE)


WORDS = {digits: _words(digits) for digits in (1, 2, 3)}
