"""Texts behind prompts, written by the model or known, each cut in two. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mdlm_probe.core.cells import key
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import answers
from mdlm_probe.decoding.canvas_of_prompt import appended, continuation_ids
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.probes.alignment.moved_targets import LEAST, Tail
from mdlm_probe.prompts import texts

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.prompts.prompt import Text


def cut(engine: AnyEngine, cells: Sequence[Any]) -> list[tuple[dict[str, Any], Tail | None]]:
    """The row of each cell's text, and its tail; none where that has less than `LEAST` tokens.

    Own texts are written one token per step, the most probable one, in the usual blocks.

    Args:
        engine: over a masked model.
        cells: the probe's.
    """
    loaded = [texts.by_id(cell.prompts, cell.lexicon)[cell.prompt] for cell in cells]
    own = [number for number, cell in enumerate(cells) if cell.source_text == "own"]
    written: dict[int, answers.Answer] = {}
    for length in dict.fromkeys(cells[number].length for number in own):
        some = [number for number in own if cells[number].length == length]
        schedule = Schedule(steps=length, block=answers.block_of(None, length, "low_confidence"))
        names = [key(cells[number]) for number in some]
        asked = [loaded[number] for number in some]
        found = answers.write(engine, asked, length, [schedule] * len(some), names)
        written |= dict(zip(some, found, strict=True))
    return [
        _cut(engine, cell, text, written.get(number))
        for number, (cell, text) in enumerate(zip(cells, loaded, strict=True))
    ]


def _cut(
    engine: AnyEngine, cell: Any, text: Text, answer: answers.Answer | None
) -> tuple[dict[str, Any], Tail | None]:
    """A text cut at the point; an end of text that was written is its last token."""
    canvas = appended(engine, text, cell.length + 1, key(cell))  # a place to be moved to
    ids = answer.ids if answer else _continuation(engine, text, cell.length)
    ended = bool(answer and answer.ended)
    whole = ids + engine.entry.eos_ids[:1] if ended else ids
    at = max(1, round(len(whole) * cell.point / 100))
    row = {"answer": engine.border.decode(ids) if ids else "", "ended": ended}
    row |= {"answer_tokens": len(ids), "tail_begins": at}
    if len(whole) - at < LEAST:
        return row | {"tail_begins": None}, None
    return row, Tail(canvas.ids[: canvas.places[0]] + whole[:at], whole[at:])


def _continuation(engine: AnyEngine, text: Text, length: int) -> tuple[int, ...]:
    """The prompt's continuation; nothing of one of less than two tokens."""
    try:
        return continuation_ids(engine, text, length)
    except ProbeError:
        return ()
