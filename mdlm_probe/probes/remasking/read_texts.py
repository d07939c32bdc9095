"""Texts read token by token, with an error or without, and mended by remasking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mdlm_probe.core.cells import key
from mdlm_probe.decoding.canvas import Canvas, Decoded
from mdlm_probe.decoding.canvas_of_prompt import continuation_ids, in_tokens, span
from mdlm_probe.decoding.loop import decode
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine import multi_step
from mdlm_probe.engine.multi_step import MultiStep
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.probes.remasking import planted_errors
from mdlm_probe.probes.remasking.planted_errors import NO_ERROR, PlantedError
from mdlm_probe.prompts import texts
from mdlm_probe.prompts.toy_grammar import is_prose

if TYPE_CHECKING:
    from mdlm_probe.engine.queries import Asker
    from mdlm_probe.prompts.prompt import Text

Rows = dict[str, list[dict[str, Any]]]
"""Rows by kind of observation."""


@dataclass(frozen=True)
class ReadText:
    """A text after its prompt.

    Attributes:
        ids: of the whole, as it is read.
        places: positions of the text's tokens.
        own: the tokens without an error.
        error: the one that was planted, or None.
        name: the cell's key.
    """

    ids: tuple[int, ...]
    places: tuple[int, ...]
    own: tuple[int, ...]
    error: PlantedError | None
    name: str

    @property
    def tokens(self) -> tuple[int, ...]:
        """The text's tokens, as they are read."""
        return tuple(self.ids[place] for place in self.places)

    def written(self, numbers: Sequence[int], token: int) -> tuple[int, ...]:
        """The whole with one token at some places of the text."""
        ids = list(self.ids)
        for number in numbers:
            ids[self.places[number]] = token
        return tuple(ids)


def rows(asker: Asker, cell: Any) -> MultiStep[Rows]:
    """What becomes rows of a cell; none of a text that has no place for its error."""
    text = texts.by_id(cell.prompts, cell.lexicon)[cell.prompt]
    read = _text(asker, cell, text)
    if read.error is None and cell.error != NO_ERROR:
        return {}
    surprisals = yield from surprisal(asker, read, cell.reading)
    error = read.error
    row = {
        "text_tokens": len(read.places),
        "error_at": error.place if error else None,
        "right_token": asker.border.decode([read.own[error.place]]) if error else None,
        "wrong_token": asker.border.decode([error.token]) if error else None,
        "surprisals": [float(f"{value:.4g}") for value in surprisals],
        "in_language": _in_language(asker, text, read.tokens),
    }
    if cell.reading == "left":
        return {"texts": [row]}
    counts = [int(count) for count in cell.remask.split() if int(count) <= len(read.places)]
    chosen = [remasked(surprisals, count) for count in counts]
    canvases = [_canvas(asker, read, numbers) for numbers in chosen]
    schedule = Schedule(at_once=1, stop=False)
    made = yield from multi_step.side_by_side(
        [decode(canvas, schedule, asker.entry) for canvas in canvases]
    )
    mended = [
        _mended(asker, text, read, numbers, decoded)
        for numbers, decoded in zip(chosen, made, strict=True)
    ]
    return {"texts": [row], "mended": mended}


def _text(asker: Asker, cell: Any, text: Text) -> ReadText:
    own = continuation_ids(asker, text, cell.text_length)
    masked = asker.entry.kind == "masked"
    found = span(asker, text, len(own) if masked else 0, "left")
    first = found.places[0] if masked else len(found.ids)
    counts = planted_errors.counted(asker.border, cell.prompts, cell.lexicon)
    error = None
    if cell.error != NO_ERROR:
        name = str(cell.seed), cell.task, cell.prompt
        before = asker.border.pieces(in_tokens(asker, text).prompt)[-1]
        error = planted_errors.planted(counts, before, own, cell.error, cell.plant, name)
    tokens = list(own)
    if error:
        tokens[error.place] = error.token
    behind = found.ids[first + len(own) :] if masked else ()
    places = tuple(range(first, first + len(own)))
    return ReadText((*found.ids[:first], *tokens, *behind), places, own, error, key(cell))


def surprisal(
    asker: Asker, read: ReadText, reading: str
) -> MultiStep[Float[np.ndarray, " tokens"]]:
    """Minus the log-probability of each token of a text, in nats.

    - masked: with that token masked, and all others visible, one pass a token.
    - visible: at its own place, where it is seen, in one pass.
    - left: given what stands before it (causal models), in one pass.
    """
    if reading != "masked":
        own = Readout("own", (read.places[0], *read.tokens))
        (answer,) = yield [Query(read.ids, read.places, (own,), read.name)]
        return -np.asarray(answer[own], dtype=float)
    assert asker.entry.mask_id is not None
    queries = [
        Query(
            read.written([number], asker.entry.mask_id),
            (read.places[number],),
            (Readout("chosen", (token,)),),
            read.name,
        )
        for number, token in enumerate(read.tokens)
    ]
    answers = yield queries
    return -np.array([float(answer["chosen"][0, 0]) for answer in answers])


def remasked(surprisals: Float[np.ndarray, " tokens"], count: int) -> tuple[int, ...]:
    """The numbers of the least probable tokens, left to right; the leftmost among equals."""
    return tuple(sorted(np.argsort(-surprisals, kind="stable")[:count].tolist()))


def _canvas(asker: Asker, read: ReadText, numbers: Sequence[int]) -> Canvas:
    assert asker.entry.mask_id is not None
    ids = read.written(numbers, asker.entry.mask_id)
    return Canvas(ids, tuple(read.places[number] for number in numbers), read.name)


def _mended(
    asker: Asker, text: Text, read: ReadText, numbers: Sequence[int], decoded: Decoded
) -> dict[str, Any]:
    """The row of a text whose tokens of these numbers were written again."""
    tokens = list(read.tokens)
    for number, token in zip(numbers, decoded.tokens, strict=True):
        tokens[number] = token
    at = read.error.place if read.error else -1
    return {
        "remasked": len(numbers),
        "found": at in numbers if read.error else None,
        "restored": tokens[at] == read.own[at] if read.error else None,
        "spoilt": sum(tokens[n] != read.own[n] for n in numbers if n != at),
        "rewritten_token": asker.border.decode([tokens[at]]) if read.error else None,
        "in_language": _in_language(asker, text, tokens),
    }


def _in_language(asker: Asker, text: Text, tokens: Sequence[int]) -> bool | None:
    """Whether prompt and text are of the small language; None where the prompt isn't."""
    prompt = in_tokens(asker, text).prompt
    return is_prose(prompt + asker.border.decode(tokens)) if is_prose(prompt) else None
