"""Examples: single items of a run as a person reads them: what was asked, what came back.

One file per probe, with `of(rows, limit)`, which picks rows and shows them; a probe without a file
has no examples. Prompts are made again from the rows' coordinates, without torch or a tokenizer.
Which items are shown, and how, is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True)
class TextPart:
    """A text under a label, such as the prompt or the answer."""

    kind: ClassVar = "text"
    label: str
    text: str


@dataclass(frozen=True)
class DifferencePart:
    """A text beside the one it came from; pieces in reading order.

    Attributes:
        label: what it is, such as "shifted answer".
        pieces: ("same", text) stands in both, ("gone", text) in the first, ("new", text) in this.
    """

    kind: ClassVar = "difference"
    label: str
    pieces: tuple[tuple[Literal["same", "gone", "new"], str], ...]


@dataclass(frozen=True)
class CanvasPart:
    """A canvas filling in.

    Attributes:
        label: what it is.
        places: for each place, left to right, the step that wrote it (from 1; 0: never) and its
            text ("" where nothing was written).
    """

    kind: ClassVar = "canvas"
    label: str
    places: tuple[tuple[int, str], ...]


Part = TextPart | DifferencePart | CanvasPart


@dataclass(frozen=True)
class ExampleItem:
    """One item.

    Attributes:
        title: what tells it from others, such as "verb-smallest, test point 3, position 20".
        model, task: what the page's filters pick by; `task` may be "".
        parts: to show, in order.
    """

    title: str
    model: str
    task: str
    parts: tuple[Part, ...]
