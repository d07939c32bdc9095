"""Spans of masks beside visible text: how far each mask stands from what can be seen. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

from mdlm_probe.catalog import unknown
from mdlm_probe.errors import ProbeError
from mdlm_probe.tasks import MASK, Prompt
from mdlm_probe.texts import Text

if TYPE_CHECKING:
    from mdlm_probe.few_shot import Asker

Context = Literal["left", "both"]

FAR = 0.75
"""Masks beyond this share of the largest distance are the far end."""
MOST = 96
"""Masks of the far end whose whole distributions are averaged."""


@dataclass(frozen=True)
class Span:
    """A text with a span of masks, or with as many tokens to come (causal models).

    Attributes:
        ids: the tokens that a model is given.
        places: positions of the masks; none in a causal model.
        own: ids of the text itself, each once: no masks, nothing that a template adds.
    """

    ids: tuple[int, ...]
    places: tuple[int, ...]
    own: tuple[int, ...]


def span(asker: Asker, text: Text, masks: int, context: Context) -> Span:
    """A prompt with masks after it, and with its continuation behind them where both sides stay.

    A chat model reads the prompt as a user's message; the masks begin its answer.

    Raises:
        ProbeError: naming the prompt, where it has no tokens, spells a mask, or is too long.
    """
    entry, border = asker.entry, asker.border
    follows = text.continuation if context == "both" else ""
    own = dict.fromkeys((*border.pieces(text.prompt), *border.pieces(follows)))
    if not own:
        raise ProbeError(
            f"prompt '{text.id}' has no visible token for {entry.name}",
            expected="a prompt with something to read in it",
        )
    canvas = "" if entry.kind == "causal" else MASK * masks
    ids = border.encode(Prompt(((text.prompt, canvas + follows),), "", ""))
    places = tuple(i for i, token in enumerate(ids) if canvas and token == entry.mask_id)
    if canvas and len(places) != masks:
        raise ProbeError(
            f"prompt '{text.id}' spells the mask token of {entry.name}",
            expected="a text without it",
        )
    visible, length = len(ids) - len(places), len(ids) - len(places) + masks
    if length > entry.context:
        raise ProbeError(
            f"prompt '{text.id}' has {visible} tokens: with {masks} masks it has {length}",
            expected=f"at most {entry.context}, the context of '{entry.name}'",
            hint=f"{entry.context - visible} masks would fit"
            if visible < entry.context
            else "leave this prompt out",
        )
    return Span(ids, places, tuple(own))


def chosen(texts: Sequence[Text], tasks: Sequence[str], limit: int, context: Context) -> list[Text]:
    """The first `limit` texts of each of some tasks, or of "all", in the order of the texts.

    Raises:
        ProbeError: an unknown task, or text wanted on both sides of masks where none follows.
    """
    known = list(dict.fromkeys(text.task for text in texts))
    for name in tasks:
        if name not in (*known, "all"):
            raise unknown("task", name, [*known, "all"])
    wanted = known if "all" in tasks else tasks
    found = [text for task in known if task in wanted for text in _of(texts, task)[:limit]]
    lacking = [text.id for text in found if context == "both" and not text.continuation]
    if lacking:
        raise ProbeError(
            f"--context both: {len(lacking)} prompts have no continuation, such as '{lacking[0]}'",
            expected="text for the right of the masks, as the field 'continuation'",
            hint="--context left needs none",
        )
    return found


def _of(texts: Sequence[Text], task: str) -> list[Text]:
    return [text for text in texts if text.task == task]


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
            )
    found = tuple(sorted(map(int, named)))
    if len(set(found)) < len(found):
        raise ProbeError("--grid names a distance twice", expected="each once")
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
