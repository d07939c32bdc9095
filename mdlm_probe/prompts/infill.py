r"""Prompts with masks in the middle: `<mask>` is one mask, `<mask:12>` are twelve. No torch.

Only where somebody asks for it: in other prompts `<mask>` is text like any other. Ours:

- One space before a marker is a part of what is filled in, since tokens carry the space before a
  word: `the <mask> sat` is `the`, a mask, ` sat`.
- Markers with nothing between them make one span.
- `\<mask>` is the text `<mask>`.
- A model's own mask token, as its tokenizer spells it, is one mask.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts.prompt import MASK

EXAMPLE = "<mask>, or <mask:12> for 12 masks"
MOST = 10**6
"""Masks of a marker, at most: no model reads as many tokens."""


@dataclass(frozen=True)
class Infill:
    """A prompt with spans of masks.

    Attributes:
        around: the texts before, between and behind the spans, one more than there are spans.
        masks: how many each span has.
        spaces: the space that each span took from the text before it, or "".
    """

    around: tuple[str, ...]
    masks: tuple[int, ...]
    spaces: tuple[str, ...]

    def text(self) -> str:
        """The prompt with a `MASK` for each mask."""
        parts = [text + MASK * count for text, count in zip(self.around, self.masks, strict=False)]
        return "".join(parts) + self.around[-1]

    def whole(self, filled: Sequence[str]) -> str:
        """The prompt with texts in place of the spans."""
        parts = [text + own for text, own in zip(self.around, filled, strict=False)]
        return "".join(parts) + self.around[-1]


def parse(prompt: str, name: str, own: str = "") -> Infill:
    """A prompt, read for markers.

    Args:
        prompt: as it is written.
        name: of the prompt, for error messages.
        own: how the model's tokenizer spells its mask; "" for none.

    Raises:
        ProbeError: a marker without a number of masks, no marker at all, or nothing to read.
    """
    around, masks, spaces, begin = [""], list[int](), list[str](), 0
    for found in _marks(own).finditer(prompt):
        around[-1] += prompt[begin : found.start()]
        begin = found.end()
        if found["escape"]:
            around[-1] += found["space"] + found[0][len(found["space"]) + 1 :]
            continue
        count = _count(found["count"], found[0].strip(), name)
        if masks and not around[-1]:  # what stands right behind another marker
            masks[-1] += count
            continue
        masks.append(count)
        spaces.append(found["space"])
        around.append("")
    around[-1] += prompt[begin:]
    if not masks:
        raise ProbeError(f"prompt '{name}' has no masks to fill in", expected=EXAMPLE)
    if not any(text.strip() for text in around):
        raise ProbeError(f"prompt '{name}' is all masks", expected="a text around them")
    return Infill(tuple(around), tuple(masks), tuple(spaces))


def marked(prompt: str) -> bool:
    """Whether a prompt holds what would be a marker."""
    return any(not found["escape"] for found in _marks("").finditer(prompt))


def _marks(own: str) -> re.Pattern[str]:
    spelled = f"|{re.escape(own)}" if own else ""
    return re.compile(rf"(?P<space> ?)(?P<escape>\\?)(?:<mask(?::(?P<count>[^<>\s]*))?>{spelled})")


def _count(text: str | None, marker: str, name: str) -> int:
    if text is None:
        return 1
    if not re.fullmatch("[0-9]{1,7}", text) or not 1 <= int(text) <= MOST:
        raise ProbeError(f"prompt '{name}' has {marker}", expected=EXAMPLE)
    return int(text)
