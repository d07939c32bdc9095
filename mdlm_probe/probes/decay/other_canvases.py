"""Canvases that a prompt's own is compared with: the next prompt's, and a longer one. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from mdlm_probe.core.cells import key
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import canvas_of_prompt
from mdlm_probe.engine.queries import Answer, Block, Query
from mdlm_probe.probes.decay import distances
from mdlm_probe.probes.decay.marginals import MarginalQuery, Rows, distribution
from mdlm_probe.prompts.texts import by_id, load

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.engine.queries import Asker
    from mdlm_probe.prompts.prompt import Text


class OtherCanvas(NamedTuple):
    """Another canvas.

    Attributes:
        name: the other prompt's id, or the number of masks of the longer canvas.
        places: masks that are compared, from 1.
        query: for their whole distributions.
    """

    name: Any
    places: tuple[int, ...]
    query: Query

    def told(self, answer: Answer) -> tuple[Any, Answer]:
        """Its name, and the distributions by their masks."""
        pairs = enumerate(self.places)
        return self.name, Answer({distribution(p): answer[Block("mean", (n,))] for n, p in pairs})


def rows(
    engine: AnyEngine, readings: Sequence[MarginalQuery]
) -> Iterator[tuple[MarginalQuery, Rows]]:
    """The rows of every reading of a masked model by kind, all canvases asked together."""
    others = [(_next(engine, one), _longer(engine, one)) for one in readings]
    more = [other for both in others for other in both if other]
    queries = [*(one.query() for one in readings), *(other.query for other in more)]
    answers = engine.ask(queries)
    found = iter(answers[len(readings) :])
    for one, both, answer in zip(readings, others, answers, strict=False):
        beside, longer = (other.told(next(found)) if other else None for other in both)
        own = one.rows(engine.border, answer)
        yield one, own | one.compared_rows(answer, beside, longer)


def _next(asker: Asker, reading: MarginalQuery) -> OtherCanvas | None:
    """The canvas of the next text of the task in its file; the first follows the last.

    None where no other text has another prompt, or that can't be asked.
    """
    cell = reading.cell
    texts = [t for t in load(cell.prompts, cell.lexicon) if t.task == cell.task]
    at = next(n for n, text in enumerate(texts) if text.id == cell.prompt)
    for text in (*texts[at + 1 :], *texts[:at]):
        if text.prompt != texts[at].prompt and (cell.context == "left" or text.continuation):
            places = distances.between_prompts(cell.masks, cell.context)
            return _canvas(asker, reading, text, text.id, cell.masks, places)
    return None


def _longer(asker: Asker, reading: MarginalQuery) -> OtherCanvas | None:
    """The prompt with so many masks that those near the end of its canvas are in the middle.

    None where there is no end, or the context has no room.
    """
    cell, masks = reading.cell, distances.longer(reading.cell.masks)
    if not reading.edge:
        return None
    text = by_id(cell.prompts, cell.lexicon)[cell.prompt]
    return _canvas(asker, reading, text, masks, masks, reading.edge)


def _canvas(
    asker: Asker,
    reading: MarginalQuery,
    text: Text,
    name: Any,
    masks: int,
    places: tuple[int, ...],
) -> OtherCanvas | None:
    try:
        span = canvas_of_prompt.span(asker, text, masks, reading.cell.context)
    except ProbeError:  # too long, as a rule
        return None
    asked = tuple(span.places[place - 1] for place in places)
    blocks = tuple(Block("mean", (n,)) for n in range(len(places)))
    origin = asker.entry.origin_at(span.places[0])
    query = Query(span.ids, asked, (), key(reading.cell), blocks, origin=origin)
    return OtherCanvas(name, places, query)
