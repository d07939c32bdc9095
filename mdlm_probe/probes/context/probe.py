"""Does what stands at the right of a span help to predict it?

A span's log-likelihood by the chain rule, its tokens one by one: given the text before it, and with
so many tokens behind it, too. It tests whether bidirectional attention brings anything in practice,
which arXiv 2510.03289 doubts. Ours: the measure, the foreign right side (as many tokens of another
text), and what stands where the text goes on unseen: masks, since models take the end of a canvas
for the end of the text; or nothing. A causal model has the value given the left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from mdlm_probe.core import options
from mdlm_probe.core.cell_ranges import Cells, cells_of
from mdlm_probe.core.errors import ProbeError, Refusal
from mdlm_probe.decoding import answers
from mdlm_probe.engine import multi_step
from mdlm_probe.probes.context import columns, scoring, spans
from mdlm_probe.probes.context.coordinates import Beyond, Cell, Order
from mdlm_probe.prompts import texts

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._checkpoint import Checkpoint

KINDS = ("masked", "causal")
COLUMNS = columns.COLUMNS
SPANS, RIGHTS = ("1", "4", "16"), ("1", "2", "4", "8", "16", "32", "all")


def plan(
    *,
    span: Annotated[
        tuple[str, ...],
        "tokens of the span, which begins where the prompt ends; answer: the answer to a prompt"
        " with <mask> in it",
    ] = SPANS,
    right: Annotated[
        tuple[str, ...], "tokens seen at the right of the span, beside none: numbers, or all"
    ] = RIGHTS,
    right_from: Annotated[
        tuple[spans.Source, ...],
        "whose they are: the text's own, another text's (foreign), its own in another order",
    ] = ("own", "foreign"),
    beyond: Annotated[
        tuple[Beyond, ...],
        "what stands where the text goes on unseen: masks, or nothing (cut: the canvas ends)",
    ] = ("masks",),
    order: Annotated[Order, "in which the chain rule scores the span's tokens"] = "left_to_right",
    prompts: answers.PromptsOption = "decay",
    lexicon: answers.LexiconOption = "full",
    tasks: answers.TasksOption = ("all",),
    limit: answers.LimitOption = 25,
    seed: Annotated[int, "seed of random and shuffled orders"] = 0,
) -> Cells[Cell]:
    """The cells: texts, spans, what stands beyond, in this order."""
    options.check_least(1, limit=limit)
    options.check_least(0, seed=seed)
    options.check_once(span=span, right=right, right_from=right_from, beyond=beyond)
    lengths = [_number("span", one, "answer") for one in span]
    for one in right:
        _number("right", one, spans.ALL)
    chosen = texts.chosen(texts.load(prompts, lexicon), tasks, limit, "left")
    if spans.ANSWER in lengths:
        spans.check_marked(chosen)
    if lengths != [spans.ANSWER]:
        spans.check_continued(chosen)
    return cells_of(
        Cell,
        (("task", "prompt"), [(text.task, text.id) for text in chosen]),
        ("span_tokens", lengths),
        ("beyond", beyond),
        prompts=prompts,
        lexicon=lexicon,
        chain_order=order,
        right_amounts=" ".join(right),
        right_sources=" ".join(right_from),
        seed=seed,
    )


def _number(option: str, text: str, word: str) -> int:
    """A number of tokens, or 0 for a word.

    Raises:
        ProbeError: neither.
    """
    if text == word:
        return 0
    if not text.isdecimal() or not 1 <= int(text) < 2**31:
        raise ProbeError(
            f"{options.flag(option)} has {text!r}",
            expected=f"numbers of tokens from 1, or {word}",
            option=option,
        )
    return int(text)


sources = texts.sources


def suited(entry: Checkpoint) -> dict[str, Any]:
    """Block-causal models: spans, and right sides, that a block holds."""
    if not entry.block:
        return {}
    holds = 1 + entry.block_rest
    span = [one for one in SPANS if 2 * int(one) <= holds] or ["1"]
    right = [one for one in RIGHTS[:-1] if int(one) + int(span[-1]) <= holds]
    return {"span": tuple(span), "right": tuple(right or ["1"])}


def refuse(cell: Cell, entry: Checkpoint) -> str:
    """Why a cell can't be asked of a model; empty if it can."""
    if cell.span_tokens == spans.ANSWER and entry.chat:
        return Refusal.of("a chat's turns hold no spans to fill in: --style base", "style", "span")
    if entry.kind == "causal" and cell.chain_order != "left_to_right":
        return Refusal.of("a causal model has one order: --order left_to_right", "order")
    if not entry.block:
        return ""
    if cell.span_tokens == spans.ANSWER or spans.ALL in cell.right_amounts:
        return Refusal.of("it sees nothing behind a span's own block", "right", "span")
    needed = cell.span_tokens + max(map(int, cell.right_amounts.split()))
    if needed > 1 + entry.block_rest:
        found = f"{needed} tokens of span and right side reach beyond a block of {entry.block}"
        return Refusal.of(found, "right", "span")
    return ""


def measure(
    engine: AnyEngine, cells: Sequence[Cell]
) -> Iterator[tuple[Cell, list[dict[str, Any]]]]:
    """A row for the span with nothing at its right, and for every right side that there is."""
    found = multi_step.run(engine, [scoring.rows(engine, cell) for cell in cells])
    yield from zip(cells, found, strict=True)
