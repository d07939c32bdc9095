"""Infilling: spans of masks within a text, filled in by the loop, with the text at both sides seen.

Ours: all masks of a prompt are one block unless a block's size is given, a mask a step; a text goes
on behind a span, so an end of text ends what stands in that span alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mdlm_probe.core.errors import ProbeError, TooLong
from mdlm_probe.decoding import loop
from mdlm_probe.decoding.answers import Answer
from mdlm_probe.decoding.canvas import Canvas, Decoded, Intervention
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine.batches import beyond
from mdlm_probe.prompts import infill

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.engine.queries import Asker
    from mdlm_probe.models._checkpoint import Checkpoint
    from mdlm_probe.prompts.infill import Infill
    from mdlm_probe.prompts.prompt import Text


@dataclass(frozen=True)
class InfilledText(Answer):
    """What a model wrote into the spans of a text.

    `ids`, `places` and `text` are of all spans, one after another.

    Attributes:
        parts: the text of every span.
        whole: the text with them.
    """

    parts: tuple[str, ...] = ()
    whole: str = ""


def check(entry: Checkpoint) -> None:
    """Refuses models that don't see what stands behind a mask, and chats.

    Raises:
        ProbeError: naming the option.
    """
    found, expected = "", "a masked model whose tokens see all others (bidirectional)"
    if entry.kind == "causal":
        found = f"'{entry.name}' is causal: it sees nothing at the right of a mask"
    elif entry.block:
        found = f"'{entry.name}' sees nothing behind a mask's own block of {entry.block} tokens"
    elif entry.chat:
        found = f"'{entry.name}' reads chats, whose turns have no masks within"
        expected = "plain text: --style base"
    if found:
        raise ProbeError(f"--infill: {found}", expected=expected, option="infill")


def read(asker: Asker, text: Text) -> Infill:
    """A prompt's spans; see `infill.parse`."""
    return infill.parse(text.prompt, text.id, asker.border.mask_text)


def canvas_of(asker: Asker, text: Text, name: str) -> Canvas:
    """A prompt with its spans as masks, as plain text.

    Raises:
        ProbeError: naming the prompt, where it has no marker, a wrong one, or is too long.
    """
    entry, found = asker.entry, read(asker, text)
    masks = sum(found.masks)
    size = masks + sum(len(asker.border.pieces(part)) for part in found.around)
    if size > entry.context:
        raise TooLong(
            f"prompt '{text.id}' has {size} tokens, {masks} masks among them",
            expected=f"at most {entry.context}, the context of '{entry.name}'",
            reason=beyond(entry),
        )
    ids = asker.border.encode(found.text())
    places = tuple(place for place, token in enumerate(ids) if token == entry.mask)
    if len(places) != masks:
        raise ProbeError(
            f"prompt '{text.id}' spells the mask token of {entry.name}, escaped",
            expected="a text without it",
        )
    return Canvas(ids, places, name)


def schedule_of(schedule: Schedule, canvas: Canvas, name: str) -> Schedule:
    """The schedule of one canvas: a mask a step where no number of steps is given.

    Raises:
        ProbeError: fewer steps than blocks.
    """
    masks = len(canvas.places)
    blocks = len(schedule.blocks(masks))
    if schedule.steps and schedule.steps < blocks and not schedule.rule.free:
        raise ProbeError(
            f"--steps {schedule.steps} are fewer than the {blocks} blocks of prompt '{name}',"
            f" with {masks} masks",
            expected="a step for each block, or more",
            option=("steps", "block"),
        )
    if schedule.steps:
        return replace(schedule, stop=False)
    # steps are shared out evenly among blocks, of which the last may be smaller; Dream's rules
    # commit shares of the masks that are left
    return replace(schedule, steps=masks, at_once=0 if schedule.rule.dream else 1, stop=False)


def write(
    engine: AnyEngine,
    texts: Sequence[Text],
    schedules: Sequence[Schedule],
    names: Sequence[str],
    interventions: Sequence[Intervention | None] = (),
) -> list[InfilledText]:
    """Fills in the spans of prompts, all side by side.

    Args:
        engine: over a masked model; see `check`.
        texts, schedules, names, interventions: one of each a prompt; see `answers.write`.

    Raises:
        ProbeError: as `canvas_of` and `schedule_of`.
    """
    canvases = [canvas_of(engine, *pair) for pair in zip(texts, names, strict=True)]
    own = [
        schedule_of(schedule, canvas, text.id)
        for schedule, canvas, text in zip(schedules, canvases, texts, strict=True)
    ]
    found = loop.decode_all(engine, canvases, own, interventions)
    return [infilled(engine, *pair) for pair in zip(texts, found, strict=True)]


def infilled(asker: Asker, text: Text, decoded: Decoded) -> InfilledText:
    """What stands in a prompt's spans: of each, the tokens before its first end of text."""
    entry, border, told = asker.entry, asker.border, read(asker, text)
    blank, ended, begin = (entry.mask_id, entry.slack_id), False, 0
    seen: list[int] = []
    parts: list[tuple[int, ...]] = []
    for masks in told.masks:
        span = range(begin, begin + masks)
        ends = [place for place in span if decoded.tokens[place] in entry.eos_ids]
        seen += range(begin, ends[0]) if ends else span
        kept = [place for place in seen if place >= begin and decoded.tokens[place] not in blank]
        parts.append(tuple(kept))
        begin, ended = begin + masks, ended or bool(ends)
    places = tuple(place for part in parts for place in part)
    texts = [border.decode([decoded.tokens[p] for p in part]) if part else "" for part in parts]
    slack = None
    if entry.slack_id is not None:
        slack = sum(decoded.tokens[p] == entry.slack_id for p in seen) / max(len(seen), 1)
    return InfilledText(
        tuple(decoded.tokens[place] for place in places),
        places,
        "".join(texts),
        ended,
        decoded,
        slack,
        tuple(texts),
        told.whole(texts),
    )
