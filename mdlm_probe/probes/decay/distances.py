"""Spans of masks beside visible text: how far each mask stands from what can be seen. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts.texts import Context

GUARD = 0.25
"""Share of the canvas on either side that isn't its middle: near text, or near the canvas's end."""
MOST = 96
"""Masks of the middle whose whole distributions are averaged."""


def distances(masks: int, context: Context) -> tuple[int, ...]:
    """Of each mask, tokens to the nearest visible one: the first mask after a text has 1."""
    if context == "left":
        return tuple(range(1, masks + 1))
    return tuple(min(place, masks + 1 - place) for place in range(1, masks + 1))


def in_middle(distance: Any, masks: Any, context: Any) -> Any:
    """Whether masks so far from the text stand in the middle half of the canvas.

    There the conjecture of arXiv 2510.03289 is about; the guard of a quarter is ours.
    """
    at = (np.asarray(distance) - 0.5) / masks
    return (at >= GUARD) & before_edge(distance, masks, context)


def before_edge(distance: Any, masks: Any, context: Any) -> Any:
    """Whether masks so far from the text aren't in the last quarter before the end of the canvas.

    With text on both sides there is no such end.
    """
    at = (np.asarray(distance) - 0.5) / masks
    return (at <= 1 - GUARD) | (np.asarray(context) == "both")


def middle(masks: int, context: Context) -> tuple[int, ...]:
    """The masks of the canvas's middle half, from 0: the far end.

    Of more than `MOST` some are left out evenly: whole distributions take memory.
    """
    places = np.flatnonzero(in_middle(distances(masks, context), masks, context)).tolist()
    return tuple(places[:: -(-len(places) // MOST)])


def between_prompts(masks: int, context: Context) -> tuple[int, ...]:
    """Distances at which different prompts are compared: 1, 4, 16 ... and the canvas's centre."""
    centre = (masks + 1) // 2
    fours = {4**k for k in range(16) if before_edge(4**k, masks, context) and 4**k <= centre}
    return tuple(sorted({*fours, centre}))


def edge(masks: int, context: Context) -> tuple[int, ...]:
    """Masks near the canvas's end, from 1: the last, the 4th, the 16th ... of its last quarter.

    None with text on both sides.
    """
    if context == "both":
        return ()
    return tuple(sorted(masks + 1 - 4**k for k in range(16) if 4**k <= GUARD * masks))


def longer(masks: int) -> int:
    """Masks of a canvas in which all of another's masks stand before the last quarter."""
    return int(np.ceil(masks / (1 - GUARD)))


# ---------------------------------------------------------------------- grids


def grid(named: Sequence[str], masks: int, context: Context) -> tuple[int, ...]:
    """Distances from what a user typed: "octaves" (1, 2, 3, 4, 6, 8, 12 ...), "all", or numbers.

    Raises:
        ProbeError: a distance that is none, that no mask has, or that stands twice.
    """
    most = max(distances(masks, context))
    if tuple(named) == ("all",):
        return tuple(range(1, most + 1))
    if tuple(named) == ("octaves",):
        steps = {1, *(2**k for k in range(1, 32)), *(3 * 2**k for k in range(32))}
        return tuple(sorted(step for step in steps if step <= most))
    for text in named:
        if not (text.isdecimal() and 1 <= int(text) <= most):
            raise ProbeError(
                f"--grid has '{text}'",
                expected=f"distances of 1 to {most}, or 'octaves', or 'all'",
                option="grid",
            )
    found = tuple(sorted(map(int, named)))
    if len(set(found)) < len(found):
        raise ProbeError("--grid names a distance twice", expected="each once", option="grid")
    return found


def pairs(steps: Sequence[int], lag: int, masks: int, context: Context) -> list[tuple[int, int]]:
    """Pairs of masks to compare, from 1: all of a grid, and each with the mask `lag` farther away.

    With text on both sides grid and neighbours are mirrored, so that each distance is there twice.
    """
    most = max(distances(masks, context))
    near = {(step, step + lag) for step in steps if step + lag <= most}
    places = set(steps)
    if context == "both":
        places |= {masks + 1 - step for step in steps}
        near |= {(masks + 1 - other, masks + 1 - step) for step, other in near}
    return sorted(near | set(combinations(sorted(places), 2)))
