"""Does a model find a wrong token, and does remasking mend it?

A token of a finished text is replaced, and each token is scored by its own probability: masked
alone, with all else visible, the error too; or where it stands, visible; or given its left (causal
models). The least probable tokens are then masked and written again. Remasking what a model is
unsure of: ReMDM (arXiv 2503.00307), RemeDi (arXiv 2509.23653), which learn or keep such scores
while a text is written. The measure is ours: finished texts of others, errors that no model has a
say in, AUROC, what an error does to the tokens around it, and what remasking spoils.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mdlm_probe.core.cell_ranges import Cells, cells_of
from mdlm_probe.core.columns import Holds, Unit, empty
from mdlm_probe.core.errors import ProbeError, Refusal
from mdlm_probe.core.options import AMOUNT, check_least, check_once, check_range
from mdlm_probe.decoding import answers, coordinates
from mdlm_probe.engine import multi_step
from mdlm_probe.probes.remasking import columns, read_texts
from mdlm_probe.probes.remasking.planted_errors import NO_ERROR, Error
from mdlm_probe.prompts import texts
from mdlm_probe.prompts.toy_grammar import is_prose

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._checkpoint import Checkpoint

KINDS = ("masked", "causal")
OBSERVATIONS = columns.OBSERVATIONS
Reading = Literal["masked", "visible", "left"]


@dataclass(frozen=True, slots=True)
class Cell(coordinates.PromptCell):
    """A text, the error in it, and how its tokens are read."""

    text_length: Annotated[
        int, "tokens of the continuation that are scored, at most", Unit("tokens"), Holds("length")
    ]
    error: Annotated[str, "what the wrong token is drawn from: unigram, bigram; none: no error"]
    plant: Annotated[int, "number of the error in its text, from 1; 0: none"]
    reading: Annotated[str, "how a token is scored: masked, visible or left"]
    remask: Annotated[str, "numbers of tokens that are masked and written again"]
    seed: coordinates.Seed


def plan(
    *,
    error: Annotated[
        tuple[Error, ...],
        "what wrong tokens are drawn from: all tokens of the prompts' texts (unigram), or those"
        " that follow the token before (bigram)",
    ] = ("unigram", "bigram"),
    errors: Annotated[int, "errors of each kind per text, one at a time", AMOUNT] = 2,
    reading: Annotated[
        tuple[Reading, ...],
        "how a token is scored: masked alone, visible in its place, or by its left (causal models)",
    ] = ("masked", "visible", "left"),
    remask: Annotated[tuple[int, ...], "least probable tokens to mask and write again"] = (1, 4),
    length: Annotated[int, "tokens of each prompt's continuation that are scored, at most"] = 32,
    prompts: answers.PromptsOption = "decay",
    lexicon: answers.LexiconOption = "full",
    tasks: answers.TasksOption = ("all",),
    limit: answers.LimitOption = 25,
    seed: Annotated[int, "seed of the errors"] = 0,
) -> Cells[Cell]:
    """The cells: prompts, errors (none first), readings, in this order."""
    check_least(1, limit=limit, errors=errors)
    check_least(2, length=length)
    check_range(1, length, f"1 to {length}, --length", remask=remask)
    check_once(error=error, reading=reading, remask=remask)
    chosen = texts.chosen(texts.load(prompts, lexicon), tasks, limit, "left")
    if lacking := [text.id for text in chosen if not text.continuation.strip()]:
        raise ProbeError(
            f"{len(lacking)} prompts have no continuation, such as '{lacking[0]}'",
            expected="the field 'continuation': the text that an error is planted in",
            option="prompts",
        )
    planted = [(NO_ERROR, 0), *((kind, n) for kind in error for n in range(1, errors + 1))]
    return cells_of(
        Cell,
        (("task", "prompt"), [(text.task, text.id) for text in chosen]),
        (("error", "plant"), planted),
        ("reading", reading),
        prompts=prompts,
        lexicon=lexicon,
        text_length=length,
        remask=" ".join(map(str, sorted(remask))),
        seed=seed,
    )


sources = texts.sources


def unwritten(options: Mapping[str, Any], entry: Checkpoint) -> tuple[str, ...]:
    """What is said of the small language, where no prompt is of it."""
    found = texts.load(options["prompts"], options["lexicon"])
    asked = texts.chosen(found, options["tasks"], options["limit"], "left")
    return () if any(is_prose(text.prompt) for text in asked) else (columns.IN_LANGUAGE.name,)


def refuse(cell: Cell, entry: Checkpoint) -> str:
    """Why a cell can't be asked of a model; empty if it can."""
    if entry.attention == "block-causal":
        return "its blocks see no later ones: what follows a token can't tell that it is wrong"
    if entry.kind == "causal" and cell.reading != "left":
        return Refusal.of("a causal model reads what stands on the left: --reading left", "reading")
    if entry.kind == "masked" and cell.reading == "left":
        return Refusal.of("a masked model reads both sides: --reading masked,visible", "reading")
    if cell.reading == "visible" and entry.exact:
        return Refusal.of("it is computed at masks: of a visible token it is certain", "reading")
    return ""


def measure(engine: AnyEngine, cells: Sequence[Cell]) -> Iterator[tuple[Cell, read_texts.Rows]]:
    """A row for the text, and for each number of tokens that is written again."""
    known = {kind.name: kind.columns for kind in OBSERVATIONS}
    found = multi_step.run(engine, [read_texts.rows(engine, cell) for cell in cells])
    for cell, kinds in zip(cells, found, strict=True):
        yield cell, {kind: [empty(known[kind]) | row for row in own] for kind, own in kinds.items()}
