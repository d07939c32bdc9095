"""Does a model find one fact in a long text?

A one-line fact is hidden among filler, and asked for at the end: needle depth x context length, as
in arXiv 2506.14429. Ours: facts and filler (seeded templates), how depths and lengths are rounded
to whole sentences, and the baseline: the same text without the fact, so that what a model guesses
is not taken for what it read. A masked model is given as many masks as the answer has tokens, and
nothing after them; they are filled from left to right. A causal model reads the same text.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from mdlm_probe.core import options
from mdlm_probe.core.cell_ranges import Cells, cells_of
from mdlm_probe.core.cells import key, seeded_as
from mdlm_probe.core.columns import FILE, Unit
from mdlm_probe.core.errors import Refusal
from mdlm_probe.decoding import coordinates
from mdlm_probe.engine.queries import Answer, Query, Readout
from mdlm_probe.probes._few_shot import scoring
from mdlm_probe.probes.needle import columns, haystack
from mdlm_probe.probes.needle.facts import load

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._checkpoint import Checkpoint
    from mdlm_probe.probes.needle.haystack import Haystack

KINDS = ("masked", "causal")
COLUMNS = columns.COLUMNS

ABSENT = -1
"""The depth of a fact that isn't there."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One needle in a text of `context_length` tokens at most, at `depth` percent of the filler.

    Depth 0 is the start of the text, 100 is next to the question, `ABSENT` is nowhere.
    """

    needles: Annotated[str, "name of the needles in tasks/, or their path", FILE]
    lexicon: coordinates.Lexicon
    seed: coordinates.Seed
    context_length: Annotated[int, "tokens, with question and answer", Unit("tokens")] = field(
        metadata=seeded_as("length")
    )
    item: coordinates.Item
    depth: Annotated[int, "where the fact stands: 0 the start; -1: it is absent", Unit("%")]


def plan(
    *,
    lengths: Annotated[
        tuple[int, ...], "context lengths in tokens, including question and answer"
    ] = (256, 512, 1024, 2048, 4096),
    depths: Annotated[
        tuple[int, ...], "position of the fact, in percent of the text; 0: at the start"
    ] = tuple(range(0, 101, 10)),
    limit: Annotated[int, "needles per length and depth", options.AMOUNT] = 10,
    baseline: Annotated[
        Literal["absent", "none"],
        "also ask without the fact (absent), to see what guessing gives",
        options.AMOUNT,
    ] = "absent",
    needles: Annotated[
        str, "needles in tasks/, or path to a YAML file of your own", options.Traits(material=True)
    ] = "needle",
    lexicon: Annotated[
        str, "lexicon of the needles: full or small", options.Traits("lexicons")
    ] = "full",
    seed: Annotated[int, "seed of needles and filler"] = 0,
) -> Cells[Cell]:
    """The cells of the sweep: lengths, needles, depths, in this order."""
    options.check_least(1, limit=limit)
    options.check_least(0, lengths=lengths)
    options.check_range(0, 100, "0 to 100, percent of the text", depths=depths)
    options.check_once(lengths=lengths, depths=depths)
    source = load(needles, lexicon)
    for item in range(limit):
        needle = source.needle(item, seed)
        words = len(f"{needle.fact} {needle.question} {needle.opening} {needle.answer}".split())
        if min(lengths) <= words:
            expected = f"more than {words} tokens, for the needle '{needle.fact}'"
            raise options.wrong("lengths", min(lengths), expected)
    wanted = (*depths, *((ABSENT,) if baseline == "absent" else ()))
    axes = ("context_length", lengths), ("item", range(limit)), ("depth", wanted)
    return cells_of(Cell, *axes, needles=needles, lexicon=lexicon, seed=seed)


def sources(needles: str, lexicon: str, **_: Any) -> dict[str, str]:
    """What the texts are made of, as a hash: another file, or filler, is another measurement."""
    return {"needles": load(needles, lexicon).digest()}


def refuse(cell: Cell, entry: Checkpoint) -> str:
    """Why a cell can't be asked of a model; empty if it can."""
    if (size := cell.context_length) > entry.context:
        found = f"{size} tokens are beyond its context of {entry.context}; see --rope-scale"
        return Refusal.of(found, "rope_scale", "lengths")
    return ""


def measure(
    engine: AnyEngine, cells: Sequence[Cell]
) -> Iterator[tuple[Cell, list[dict[str, Any]]]]:
    """One row per cell: the answer from left to right, every token given those before it."""
    asked = []
    for cell in cells:
        source = load(cell.needles, cell.lexicon)
        hidden = haystack.fit(engine.border, source, cell.item, cell.seed, cell.context_length)
        readouts = (Readout("chosen", hidden.answer), *scoring.READOUTS)
        depth = None if cell.depth == ABSENT else cell.depth
        asked.append((hidden, depth, haystack.queries(engine, hidden, depth, readouts, key(cell))))
    answers = iter(engine.ask([query for _, _, queries in asked for query in queries]))
    for cell, (hidden, depth, queries) in zip(cells, asked, strict=True):
        yield cell, [_row(engine, hidden, depth, queries, list(islice(answers, len(queries))))]


def _before(hidden: Haystack, depth: int) -> int:
    """Sentences of the filler before the fact."""
    needles, text = hidden.needles, hidden.prompt(depth).turns[0][0]
    ends = accumulate(len(sentence) + len(needles.between) for sentence in hidden.sentences)
    return bisect_right(list(ends), text.rindex(hidden.needle.fact) - len(needles.intro))


def _row(
    engine: AnyEngine,
    hidden: Haystack,
    depth: int | None,
    queries: Sequence[Query],
    found: Sequence[Answer],
) -> dict[str, Any]:
    """The columns of an answer; it is right if the most probable token is, at every step."""
    names = ("chosen", "entropy", "top_id", "top_logprob")
    read = {name: np.concatenate([answer[name] for answer in found]) for name in names}
    steps = range(len(hidden.answer))
    return {
        "form": hidden.needle.form,
        "tokens": len(queries[0].ids) + (engine.entry.kind == "causal"),  # its last token is unseen
        "needle_at": haystack.start_of(engine.border, hidden, depth),
        "right": hidden.needle.value,
        "predicted": engine.border.decode(read["top_id"].tolist()),
        "right_tokens": len(steps),
        "correct": tuple(read["top_id"].tolist()) == hidden.answer,
        "logp_right": float(sum(read["chosen"][n, n] for n in steps)),
        "entropy": float(read["entropy"][0]),
        "top1_prob": math.exp(float(read["top_logprob"][0])),
        "sentences": len(hidden.sentences),
        "fact_after": None if depth is None else _before(hidden, depth),
    }
