"""Texts cut into tokens: where they begin, and inside, where no space is to be added. No torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from tokenizers import Encoding, Tokenizer, decoders

KEPT, LONG = 4096, 1000
"""Cut texts that are remembered, and characters of the longest of them."""


class Cutter:
    """A tokenizer for texts that begin, and for what stands inside one.

    It remembers what it cut: prompts and plans have the same pieces again and again.

    Args:
        tokenizer: from the `tokenizers` library.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._known: dict[tuple[str, bool], tuple[int, ...]] = {}

    def ids(self, text: str, inside: bool) -> list[int]:
        """Token ids of a text; `inside`: of one that others precede."""
        found = self._known.get((text, inside))
        if found is None:
            cuts = self._cut(text, inside)
            found = tuple(token for cut, part in cuts for token in cut.ids[part])
            if len(self._known) >= KEPT:
                self._known.clear()
            if len(text) <= LONG:
                self._known[text, inside] = found
        return [*found]

    def beginnings(self, text: str, inside: bool) -> list[int]:
        """Where in a text each of its tokens begins."""
        offsets = [span for cut, part in self._cut(text, inside) for span in cut.offsets[part]]
        return [min(first, len(text) - 1) for first, _ in offsets]

    def decode(self, ids: Sequence[int]) -> str:
        """What ids spell inside a text: special tokens as text, spaces untouched."""
        return self._inside.decode([int(i) for i in ids], skip_special_tokens=False)

    def _cut(self, text: str, inside: bool) -> list[tuple[Encoding, slice]]:
        """How a text is cut: one tokenizer's tokens, and which of them."""
        if not text:
            return []
        whole = self.tokenizer.encode(text, add_special_tokens=False)
        if not inside or self._inside is self.tokenizer:
            return [(whole, slice(None))]
        own = self._inside.encode(text, add_special_tokens=False)
        # after a special token inside the text the tokenizer has its own way again
        return [(own, slice(self._unmarked(own))), (whole, slice(self._unmarked(whole), None))]

    def _unmarked(self, cut: Encoding) -> int:
        """How many tokens stand before the first special one."""
        return next((n for n, token in enumerate(cut.ids) if token in self.added), len(cut.ids))

    @cached_property
    def added(self) -> frozenset[int]:
        """Ids of special tokens."""
        return frozenset(self.tokenizer.get_added_tokens_decoder())

    @cached_property
    def _inside(self) -> Tokenizer:
        return inside_text(self.tokenizer)


def inside_text(tokenizer: Tokenizer) -> Tokenizer:
    """A tokenizer for what stands inside a text: it adds no space before the first word, as those
    of SentencePiece do, and drops none when it decodes. The tokenizer itself where it never does.
    """
    names = ("normalizer", "pre_tokenizer", "decoder")
    parts = [part for name in names if (part := getattr(tokenizer, name)) is not None]
    # a decoder of bytes has the setting, too, but does nothing by it: a copy would take seconds
    parts = [part for part in parts if not isinstance(part, decoders.ByteLevel)]
    told = [json.loads(part.__getstate__()) for part in parts]
    if [_inside(part) for part in told] == told:
        return tokenizer
    whole = json.loads(tokenizer.to_str())
    return Tokenizer.from_str(json.dumps(whole | {name: _inside(whole[name]) for name in names}))


def _inside(part: Any) -> Any:
    """A part of tokenizer.json, or None, without what it does to the beginning of a text."""
    if isinstance(part, list):
        return [kept for one in part if (kept := _inside(one)) is not None]
    if not isinstance(part, dict):
        return part
    if part.get("type") == "Prepend":
        return None
    changed = {"prepend_scheme": "never", "add_prefix_space": False}
    if part.get("type") == "Strip" and part.get("content") == " ":
        changed["start"] = 0
    return {name: changed.get(name, _inside(inner)) for name, inner in part.items()}
