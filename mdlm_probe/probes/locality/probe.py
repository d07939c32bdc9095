"""Does a model find what it needs wherever it stands?

The relevant few-shot examples form one block among distractors; only the positions of this block
and of the question change. Source: "Masks Can Be Distracting" (arXiv 2511.21338), section 4.
Ours: the grid of positions (the paper gives none), the middle (after half of all examples), the
word lists, and reading an answer up to the first `]`. With an lm-eval task, its shots are the
block, and `question_masks` counts from the first mask of a choice: a choice of n tokens has n masks
in place of that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mdlm_probe.core.cell_ranges import Cells, cells_of
from mdlm_probe.core.cells import seeded_as
from mdlm_probe.core.columns import Holds, Unit
from mdlm_probe.core.options import AMOUNT, check_least, check_once, check_range
from mdlm_probe.probes._few_shot import questions, scoring
from mdlm_probe.prompts import lm_eval_suite
from mdlm_probe.prompts.few_shot_sets import Example, ask
from mdlm_probe.prompts.prompt import Prompt

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._checkpoint import Checkpoint

KINDS = ("masked", "causal")
sources, unwritten = questions.sources, questions.unwritten
COLUMNS = questions.COLUMNS


@dataclass(frozen=True, slots=True)
class Cell(questions.FewShotCell):
    """One test point with the relevant block at one position and the question at one place.

    `position` counts the distractors to the left of the block; `question_masks` 0 means that the
    answer is closed around exactly one mask, k > 0 that the question ends in k masks (see
    `tasks.ask`).
    """

    question: Annotated[str, "where the question stands: left, middle or right"]
    question_masks: Annotated[
        int, "masks that the question ends in; 0: one mask, closed", Unit("masks"), Holds("masks")
    ] = field(metadata=seeded_as("masks"))
    position: Annotated[int, "distractors left of the relevant block", Unit("examples")]


def plan(
    *,
    question: Annotated[
        tuple[Literal["left", "middle", "right"], ...], "position of the question"
    ] = ("right",),
    positions: Annotated[
        tuple[int, ...],
        "distractors left of the relevant block; default: nine values from 0 to all",
    ] = (),
    masks: Annotated[
        tuple[int, ...], "masks that the question ends in; 0: a single mask, closed by the template"
    ] = (0,),
    tasks: questions.TasksOption = ("all",),
    shots: Annotated[int | None, "relevant examples; default: the suite's (10)"] = None,
    distractors: Annotated[int | None, "distractor examples; default: the suite's (40)"] = None,
    limit: Annotated[int, "test points per set", AMOUNT] = 1000,
    answer: questions.AnswerOption = None,
    lexicon: questions.LexiconOption = "full",
    options: questions.CountOption = None,
    suite: questions.SuiteOption = "few-shot",
    lm_eval_task: lm_eval_suite.LmTaskOption = "",
    data: lm_eval_suite.DataOption = "",
    include_path: lm_eval_suite.IncludeOption = "",
    metric: lm_eval_suite.MetricOption = None,
    seed: Annotated[int, "seed of examples and test points"] = 0,
) -> Cells[Cell]:
    """The cells of the sweep: sets, places, masks, positions, test points, in this order."""
    suite = lm_eval_suite.named(suite, options, lm_eval_task, data, include_path, metric)
    source = questions.load(suite, lexicon, options)
    shots = source.shots if shots is None else shots
    distractors = source.distractors if distractors is None else distractors
    positions = positions or tuple(dict.fromkeys(round(distractors * i / 8) for i in range(9)))
    check_least(1, limit=limit)
    check_least(0, shots=shots, distractors=distractors, masks=masks)
    check_range(0, distractors, f"0 to {distractors}, --distractors", positions=positions)
    check_once(question=question, masks=masks, positions=positions)
    lm_eval_suite.check_documents(source, limit, shots, seed)
    return cells_of(
        Cell,
        ("set", questions.chosen_sets(source, tasks)),
        ("question", question),
        ("question_masks", masks),
        ("position", positions),
        ("item", range(limit)),
        **questions.shared(source, suite, lexicon, answer),
        shots=shots,
        distractors=distractors,
        seed=seed,
    )


def refuse(cell: Cell, entry: Checkpoint) -> str:
    """Why a cell can't be asked of a model; empty if it can."""
    masks = cell.question_masks
    return questions.refused(entry, cell.question, masks, behind=masks - 1)


def shown(cell: Cell, example: Example, causal: bool) -> Prompt:
    """The prompt of a test point, with masks or open (causal)."""
    relevant, others = questions.shots(cell, "relevant"), questions.shots(cell, "distractor")
    turns = (*others[: cell.position], *relevant, *others[cell.position :])
    at = {"left": 0, "middle": len(turns) // 2, "right": len(turns)}[cell.question]
    asked = ask(questions.template_of(cell), example, None if causal else cell.question_masks)
    return questions.prompt(cell, (*turns[:at], asked, *turns[at:]))


def measure(
    engine: AnyEngine, cells: Sequence[Cell]
) -> Iterator[tuple[Cell, list[dict[str, Any]]]]:
    """One row per test point: the answer as decoded text, and the distribution it came from."""
    points = questions.test_points(cells)
    causal = engine.entry.kind == "causal"
    asks = []
    for cell, example in zip(cells, points, strict=True):
        query = questions.query(engine, cell, example, shown(cell, example, causal))
        asks.append(questions.spread(engine, cell, example, query))
    answers = scoring.grouped(asks, engine.ask([query for one in asks for query in one.queries]))
    for cell, example, one, found in zip(cells, points, asks, answers, strict=True):
        yield cell, [questions.answered(engine, cell, example, one, found)]
