"""The log-likelihood of a span, given its text on the left and what is shown at the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mdlm_probe.core.cells import key
from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.columns import empty
from mdlm_probe.engine import multi_step
from mdlm_probe.engine.multi_step import MultiStep
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.likelihood import chain_rule
from mdlm_probe.probes.context import spans
from mdlm_probe.probes.context.columns import COLUMNS
from mdlm_probe.prompts import infill, texts

if TYPE_CHECKING:
    from mdlm_probe.engine.queries import Asker
    from mdlm_probe.probes.context.coordinates import Cell
    from mdlm_probe.prompts.prompt import Text


def rows(asker: Asker, cell: Cell) -> MultiStep[list[dict[str, Any]]]:
    """A row for every right side of a cell's span, of which nothing is the first.

    A text with fewer tokens than the span has one row, without a likelihood.
    """
    own, *others = _texts(cell)
    span, name = spans.find(asker, own, cell.span_tokens), key(cell)
    if not span.tokens or len(span.tokens) < cell.span_tokens:
        row = {"right_from": "none", "right_amount": "0", "text_tokens": len(span.tokens)}
        return [empty(COLUMNS) | row]
    if asker.entry.kind == "causal":
        logps = yield from _causal(span, name)
        return [_row(span, spans.NOTHING, len(span.left) + len(span.tokens), logps)]
    seed = seed_of("context", cell.prompt, cell.span_tokens, cell.seed)
    how = cell.right_amounts.split(), cell.right_sources.split(), seed
    shown = spans.sides(asker, span, cell.span_tokens, others, *how)
    canvases = [spans.canvas(asker, span, side, cell.beyond, name) for side in shown]
    order = chain_rule.sequence(cell.chain_order, len(span.tokens), seed)
    found = yield from multi_step.side_by_side(
        [chain_rule.score(canvas, span.tokens, order) for canvas in canvases]
    )
    read = zip(shown, canvases, found, strict=True)
    return [
        _row(span, side, len(canvas.ids), [float(logps[order.index(i)]) for i in range(len(order))])
        for side, canvas, logps in read
    ]


def _texts(cell: Cell) -> list[Text]:
    """A cell's text, and then those of its task that come after it, and those before."""
    task = [text for text in texts.load(cell.prompts, cell.lexicon) if text.task == cell.task]
    if cell.span_tokens == spans.ANSWER:
        task = [text for text in task if text.answer and infill.marked(text.prompt)]
    at = next(number for number, text in enumerate(task) if text.id == cell.prompt)
    return task[at:] + task[:at]


def _causal(span: spans.Span, name: str) -> MultiStep[list[float]]:
    """Log-probabilities of a span's tokens, each given all before it."""
    begin, own = len(span.left), Readout("own", (len(span.left), *span.tokens))
    places = tuple(range(begin, begin + len(span.tokens)))
    (answer,) = yield [Query((*span.left, *span.tokens[:-1]), places, (own,), name)]
    return [float(value) for value in answer["own"]]


def _row(span: spans.Span, side: spans.Side, tokens: int, logps: Sequence[float]) -> dict[str, Any]:
    return {
        "right_from": side.source,
        "right_amount": side.amount,
        "right_shown": len(side.tokens),
        "tokens": tokens,
        "text_tokens": len(span.tokens),
        "logp": sum(logps),
        "token_logps": [round(value, 4) for value in logps],
    }
