"""A stand-in for a tokenizer that can't be had: it counts tokens roughly."""

from __future__ import annotations

from collections.abc import Sequence

from mdlm_probe.models._border import Border
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.prompts.prompt import MASK, Prompt

PER_TOKEN = 2.8
"""Characters of a token."""

SOME = -1
"""Stands for every token but the mask."""


class RoughBorder(Border):
    """A token for every 2.8 characters, all alike; masks are exact, and stand at the end."""

    is_rough = True
    start, pad, ordinary = (), 0, (0,)

    def __init__(self, entry: Checkpoint) -> None:
        self.entry, self._mask = entry, entry.mask_id or 0

    @property
    def vocab(self) -> int:
        """Just enough ids for the checkpoint's own tokens."""
        return 1 + max((self._mask, *self.entry.eos_ids))

    def encode(self, prompt: Prompt | str) -> tuple[int, ...]:
        """As many ids as there may be tokens."""
        text = prompt if isinstance(prompt, str) else prompt.text()
        masks = text.count(MASK)
        return (SOME,) * round((len(text) - masks) / PER_TOKEN) + (self._mask,) * masks

    def pieces(self, text: str, *, inside: bool = False) -> tuple[int, ...]:
        """As `encode`."""
        return self.encode(text)

    def owners(self, prompt: Prompt) -> tuple[int, ...]:
        """The turns of equally long stretches of the text; the masks are the last turn's."""
        turns = prompt.turns
        owner = [n for n, turn in enumerate(turns) for _ in range(len("".join(turn)))]
        ids = self.encode(prompt)
        masks = ids.count(self._mask)
        count = len(ids) - masks
        text = tuple(owner[len(owner) * i // count] for i in range(count))
        return text + (len(turns) - 1,) * masks

    def token(self, text: str, after: str = "", *, inside: bool = False) -> int:
        """Some id."""
        return 0

    def chat(self, prompt: Prompt) -> str:
        """The plain text: what a template adds is not counted."""
        return prompt.text()

    def opening(self, ids: Sequence[int]) -> int:
        """None."""
        return 0

    def decode(self, ids: Sequence[int]) -> str:
        """A question mark for each."""
        return "?" * len(ids)
