"""A canvas drawn in the terminal while it fills in, coloured by confidence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.style import Style
from rich.text import Text as Line

from mdlm_probe.cli.screen import visible
from mdlm_probe.decoding.canvas import Observer, Step

if TYPE_CHECKING:
    from mdlm_probe.models._border import Border

MASK = "░"
BINS = ((0.2, "red"), (0.4, "magenta"), (0.6, "yellow"), (0.8, "cyan"), (2.0, "green"))
"""Confidence below which a colour stands; colours that every terminal has."""


class CanvasDisplay(Observer):
    """Draws a canvas, one frame per step: masks grey, tokens from red (unlikely) to green (sure).

    Tokens of the last step are reversed. Without a terminal only the last frame is drawn.

    Args:
        console: where to draw.
        border: tokens into text.
        title: what stands above.
        size: masks of the canvas; 0 where it grows.
        before: texts that stand before masks, by their number, `size` for what stands behind all.
    """

    def __init__(
        self,
        console: Console,
        border: Border,
        title: str,
        size: int,
        before: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        self._before = before
        self._console, self._border, self._title = console, border, title
        self._tokens: dict[int, tuple[str, float, int]] = {}
        self._size, self._step = size, 0
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="visible")
        if console.is_terminal:
            self._live.start()

    def write(self, step: Step) -> dict[int, int]:
        """Draws a step, and changes nothing."""
        self._step = step.number
        for mask, token in step.chosen.items():
            share = math.exp(step.logprobs[mask])
            self._tokens[mask] = (visible(self._border.decode([token])), share, step.number)
        for mask, token in step.edits.items():
            share = self._tokens[mask][1]
            self._tokens[mask] = (visible(self._border.decode([token])), share, step.number)
        if self._console.is_terminal:
            self._live.update(self.frame(), refresh=True)
        return step.chosen

    def close(self) -> None:
        """Leaves the last frame on the screen."""
        if self._console.is_terminal:
            self._live.stop()
        else:
            self._console.print(self.frame(), soft_wrap=True)
        self._console.print()

    def frame(self) -> Line:
        """The canvas as it is now."""
        line = Line(f"{visible(self._title)}  step {self._step}  ", style="bold")
        line.append("confidence up to ", style="not bold")
        for limit, colour in BINS:
            line.append(f" {min(limit, 1):.1f} ", style=Style(color=colour, reverse=True))
        line.append("\n")
        for mask in range(max(self._size, 1 + max(self._tokens, default=-1))):
            self._append_text(line, mask)
            if mask not in self._tokens:
                line.append(MASK, style=Style(color="bright_black", bold=False))
                continue
            text, share, made = self._tokens[mask]
            line.append(text, style=_style(share, fresh=made == self._step))
        self._append_text(line, self._size)
        return line

    def _append_text(self, line: Line, mask: int) -> None:
        """The text of the prompt that stands before a mask."""
        if text := self._before.get(mask):
            line.append(visible(text), style="not bold")


def _style(share: float, fresh: bool) -> Style:
    colour = next(colour for limit, colour in BINS if share < limit)
    return Style(color=colour, bold=False, reverse=fresh)
