"""Does a model find what it needs wherever it stands?

The relevant few-shot examples form one block among distractors; only the block's position changes,
and the place of the question. Source: "Masks Can Be Distracting" (arXiv 2511.21338), section 4.
Ours: the grid of positions (the paper gives none), the middle (after half of all examples), the
word lists, and an answer read up to the first `]`. With an lm-eval task, the block is its shots and
`masks` counts from the first mask of a choice: one of n tokens has n in place of that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mdlm_probe import few_shot, lm_choices, lm_tasks
from mdlm_probe.errors import ProbeError
from mdlm_probe.tasks import Example, Prompt, ask

if TYPE_CHECKING:
    from mdlm_probe.engine import Counter, Engine

KINDS = ("masked", "causal")
refuse, sources = few_shot.refuse, few_shot.sources
COLUMNS = few_shot.COLUMNS


@dataclass(frozen=True, slots=True)
class Cell(few_shot.FewShotCell):
    """One test point with the relevant block at one position and the question at one place.

    `position` counts the distractors to the left of the block; `masks` 0 means that the answer is
    closed around exactly one mask, k > 0 that the question ends in k masks (see `tasks.ask`).
    """

    question: str
    masks: int
    position: int


def plan(
    *,
    question: Annotated[
        tuple[Literal["left", "middle", "right"], ...], "where the question stands"
    ] = ("right",),
    positions: Annotated[
        tuple[int, ...], "distractors left of the relevant block; default: nine from 0 to all"
    ] = (),
    masks: Annotated[
        tuple[int, ...], "masks the question ends in; 0: one mask, closed by the template"
    ] = (0,),
    tasks: few_shot.TasksOption = ("all",),
    shots: Annotated[int | None, "relevant examples; default: the suite's, 10"] = None,
    distractors: Annotated[int | None, "distractor examples; default: the suite's, 40"] = None,
    limit: Annotated[int, "test points of each set"] = 1000,
    answer: few_shot.AnswerOption = None,
    lexicon: few_shot.LexiconOption = "full",
    options: few_shot.CountOption = None,
    suite: few_shot.SuiteOption = "few-shot",
    lm_eval_task: lm_tasks.LmTaskOption = "",
    data: lm_tasks.DataOption = "",
    include_path: lm_tasks.IncludeOption = "",
    metric: lm_tasks.MetricOption = None,
    seed: Annotated[int, "seed of examples and test points"] = 0,
) -> list[Cell]:
    """The cells of the sweep: sets, places, masks, positions, test points, in this order."""
    suite = lm_tasks.named(suite, options, lm_eval_task, data, include_path, metric)
    source = few_shot.load(suite, lexicon, options)
    shots = source.shots if shots is None else shots
    distractors = source.distractors if distractors is None else distractors
    positions = positions or tuple(dict.fromkeys(round(distractors * i / 8) for i in range(9)))
    counts = {"shots": shots, "distractors": distractors, "limit": limit}
    lists = {"masks": masks, "positions": positions}
    few_shot.check(**counts, **lists)
    few_shot.check_once(question=question, **lists)
    lm_tasks.check_documents(source, limit, shots, seed)
    for place in (p for p in positions if p > distractors):
        raise ProbeError(f"--positions has {place}", expected=f"0 to {distractors}, --distractors")
    return [
        Cell(
            *(suite, name, lexicon, answer or source.answer, source.options),
            *(shots, distractors, seed, item, place, k, position),
        )
        for name in few_shot.chosen_sets(source, tasks)
        for place in question
        for k in masks
        for position in positions
        for item in range(limit)
    ]


def shown(cell: Cell, example: Example, causal: bool) -> Prompt:
    """The prompt of a test point, with masks or open (causal)."""
    relevant, others = few_shot.shots(cell, "relevant"), few_shot.shots(cell, "distractor")
    turns = (*others[: cell.position], *relevant, *others[cell.position :])
    at = {"left": 0, "middle": len(turns) // 2, "right": len(turns)}[cell.question]
    asked = ask(few_shot.template_of(cell), example, None if causal else cell.masks)
    return few_shot.prompt(cell, (*turns[:at], asked, *turns[at:]))


def measure(
    engine: Engine | Counter, cells: Sequence[Cell]
) -> Iterator[tuple[Cell, list[dict[str, Any]]]]:
    """One row a test point: the answer as decoded text, and the distribution it came from."""
    points = few_shot.test_points(cells)
    causal = engine.entry.kind == "causal"
    asks = []
    for cell, example in zip(cells, points, strict=True):
        query = few_shot.query(engine, cell, example, shown(cell, example, causal))
        asks.append(few_shot.spread(engine, cell, example, query))
    answers = lm_choices.grouped(asks, engine.ask([query for one in asks for query in one.queries]))
    # a Counter answers nothing, and then there are no rows
    for cell, example, one, found in zip(cells, points, asks, answers, strict=False):
        yield cell, [few_shot.answered(engine, cell, example, one, found)]
