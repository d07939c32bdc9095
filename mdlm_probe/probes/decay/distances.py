"""Spans of masks beside visible text: how far each mask stands from what can be seen. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts.texts import Context

FAR = 0.75
"""Masks beyond this share of the largest distance are the far end."""
MOST = 96
"""Masks of the far end whose whole distributions are averaged."""


def distances(masks: int, context: Context) -> tuple[int, ...]:
    """Of each mask, tokens to the nearest visible one: the first mask after a text has 1."""
    if context == "left":
        return tuple(range(1, masks + 1))
    return tuple(min(place, masks + 1 - place) for place in range(1, masks + 1))


def far(masks: int, context: Context) -> tuple[int, ...]:
    """The masks of the far end, from 0: farther than `FAR` of the largest distance.

    Of more than `MOST` some are left out evenly: whole distributions take memory.
    """
    found = distances(masks, context)
    places = [i for i, distance in enumerate(found) if distance > FAR * max(found)]
    return tuple(places[:: -(-len(places) // MOST)])


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
