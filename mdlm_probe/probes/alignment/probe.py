"""How harshly does cross-entropy punish a text one place off?

A model's own answer is masked from a point on, and the loss of the right tokens is read in their
places and one place beside them; the same under the alignment-flexible loss of `tune ctc`, which
sums over placements. That position-wise supervision punishes small displacements, which
alignment-flexible supervision forgives, is the premise of "Reconsidering Positional Supervision"
(arXiv 2601.22947). The measure is ours: the targets (see `moved_targets`), the controls with one
other token, partly masked tails, and a flexible loss for models without `<slack>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mdlm_probe.core.cell_ranges import Cells, cells_of
from mdlm_probe.core.cells import key
from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.columns import Unit, empty
from mdlm_probe.core.errors import ProbeError, Refusal
from mdlm_probe.core.options import check_least, check_once, check_range
from mdlm_probe.decoding import answers, coordinates
from mdlm_probe.probes.alignment import columns, tails
from mdlm_probe.probes.alignment.losses import MovedTail, Rows
from mdlm_probe.probes.alignment.moved_targets import LEAST, Tail, settings
from mdlm_probe.prompts import texts

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._checkpoint import Checkpoint

KINDS = ("masked",)
OBSERVATIONS = columns.OBSERVATIONS
Source = Literal["own", "continuation"]
SOURCE = "whose text is moved: the model's own answer (own), or the prompt's continuation"


@dataclass(frozen=True, slots=True)
class Cell(coordinates.PromptCell):
    """A prompt, the text behind it, and where its tail begins."""

    length: coordinates.Length
    source_text: Annotated[str, SOURCE]
    point: Annotated[int, "share of the text that stands before the tail", Unit("%")]
    shares: Annotated[str, "shares of the tail that are masked"]
    seed: coordinates.Seed


def plan(
    *,
    source_text: Annotated[Source, SOURCE] = "own",
    point: Annotated[int, "share of the text before the tail, in percent"] = 50,
    shares: Annotated[tuple[float, ...], "shares of the tail that are masked"] = (0.5, 1.0),
    prompts: answers.PromptsOption = "decay",
    lexicon: answers.LexiconOption = "full",
    tasks: answers.TasksOption = ("all",),
    limit: answers.LimitOption = 50,
    length: Annotated[int, "masks after each prompt, or most tokens of its continuation"] = 32,
    seed: Annotated[int, "seed of which tokens are masked"] = 0,
) -> Cells[Cell]:
    """The cells: prompts of each task, in the order of their file."""
    check_least(1, limit=limit)
    check_least(1 + LEAST, length=length)
    check_range(1, 99, "1 to 99", point=point)
    check_range(0.01, 1, "between 0.01 and 1", shares=shares)
    check_once(shares=shares)
    chosen = texts.chosen(texts.load(prompts, lexicon), tasks, limit, "left")
    lacking = [text.id for text in chosen if not text.continuation]
    if source_text == "continuation" and lacking:
        raise ProbeError(
            f"{len(lacking)} prompts have no continuation, such as '{lacking[0]}'",
            expected="the field 'continuation', whose tail is moved",
            hint="--source-text own needs none",
            option="source_text",
        )
    return cells_of(
        Cell,
        (("task", "prompt"), [(text.task, text.id) for text in chosen]),
        prompts=prompts,
        lexicon=lexicon,
        length=length,
        source_text=source_text,
        point=point,
        shares=" ".join(f"{share:g}" for share in sorted(shares)),
        seed=seed,
    )


sources = texts.sources


def refuse(cell: Cell, entry: Checkpoint) -> str:
    """Why a cell can't be asked of a model; empty if it can."""
    if entry.attention == "block-causal":
        return Refusal.of("its blocks see no later ones: a moved tail is no input of its training")
    return ""


def measure(
    engine: AnyEngine, cells: Sequence[Cell]
) -> Iterator[tuple[Cell, dict[str, list[dict[str, Any]]]]]:
    """A row for the text, for each target, and for each token of the tail."""
    found = [(cell, *one) for cell, one in zip(cells, tails.cut(engine, cells), strict=True)]
    asked = [(cell, row, _moved(engine, cell, tail)) for cell, row, tail in found]
    replies = iter(engine.ask([q for _, _, moved in asked for one in moved for q in one.queries]))
    known = {kind.name: kind.columns for kind in OBSERVATIONS}
    for cell, row, moved in asked:
        rows: dict[str, Rows] = {"answers": [row], "targets": [], "tokens": []}
        for one in moved:
            own = one.rows([next(replies) for _ in one.queries])
            for kind, told in own.items():
                rows[kind] += [empty(known[kind]) | each for each in told]
        yield cell, rows


def _moved(engine: AnyEngine, cell: Cell, tail: Tail | None) -> list[MovedTail]:
    """The tail's targets at each share; none of a text that is too short."""
    if tail is None:
        return []
    drawn = seed_of("tail", cell.seed, cell.task, cell.prompt, cell.point)
    return [
        MovedTail(engine, tail, share, shown, drawn, key(cell))
        for share, shown in settings([float(share) for share in cell.shares.split()])
    ]
