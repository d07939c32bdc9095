"""Which parts of the context does a model's answer hang on?

The gradient of the predicted token's logit with respect to the input embeddings, for every token,
summed over in-context examples in random orders and over groups of tokens, with masks appended.
Source: "Masks Can Be Distracting" (arXiv 2511.21338), section 4: the gradient's norm, 50 masks, 30
orders, 20 test points; scores of groups by the largest token other than the answer's own mask
(`by_others`). Ours: the same by the largest of all tokens (`normalised`), how examples are
normalised, which tokens belong to an example (see `token_scores`), the other methods, the answer's
own mask as a group, and positions of the question other than the right end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mdlm_probe.core.cell_ranges import Cells, cells_of
from mdlm_probe.core.cells import seeded_as
from mdlm_probe.core.columns import Holds, Unit
from mdlm_probe.core.options import AMOUNT, check_least, check_once
from mdlm_probe.probes._few_shot import one_token, questions
from mdlm_probe.probes.attribution import columns, token_scores
from mdlm_probe.prompts.few_shot_sets import Example, answer_text, ask
from mdlm_probe.prompts.prompt import Prompt
from mdlm_probe.prompts.suite import load

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._checkpoint import Checkpoint

KINDS = ("masked", "causal")
GRADIENTS = True
OBSERVATIONS = columns.OBSERVATIONS
sources = questions.sources


@dataclass(frozen=True, slots=True)
class Cell(questions.FewShotCell):
    """One test point with its examples in one random order and the question at one place.

    `appended_masks` counts masks after the answer's own: 0 closes the answer around exactly one
    mask, k > 0 ends the question in k + 1. `ig_steps` is 0 but for integrated gradients.
    """

    question: Annotated[str, "where the question stands: left, middle or right"]
    appended_masks: Annotated[
        int, "masks appended after the answer's own", Unit("masks"), Holds("masks")
    ] = field(metadata=seeded_as("masks"))
    example_order: Annotated[int, "number of the random order of the examples, from 0"] = field(
        metadata=seeded_as("order")
    )
    method: Annotated[str, "how tokens are scored"]
    ig_steps: Annotated[int, "interpolation points of integrated gradients; 0: another method"]
    detail: Annotated[str, "whether every token has a row: example or token"]


def plan(
    *,
    question: Annotated[
        tuple[Literal["left", "middle", "right"], ...], "position of the question"
    ] = ("right",),
    masks: Annotated[
        tuple[int, ...],
        "masks appended after the answer's own; 0: a single mask, closed by the template",
    ] = (0, 50),
    orders: Annotated[int, "random orders of the examples", AMOUNT] = 30,
    method: Annotated[
        Literal["grad-norm", "input-x-gradient", "integrated-gradients"], "attribution method"
    ] = "grad-norm",
    ig_steps: Annotated[int, "interpolation points of integrated gradients"] = 32,
    detail: Annotated[
        Literal["example", "token"],
        "rows for examples and groups only (example), or for every token, too",
    ] = "example",
    tasks: questions.TasksOption = ("all",),
    shots: Annotated[int | None, "relevant examples; default: the suite's (10)"] = None,
    distractors: Annotated[int | None, "distractor examples; default: the suite's (40)"] = None,
    limit: Annotated[int, "test points per set", AMOUNT] = 20,
    answer: questions.AnswerOption = None,
    lexicon: questions.LexiconOption = "full",
    options: questions.CountOption = None,
    suite: questions.SuiteOption = "few-shot",
    seed: Annotated[int, "seed of examples, orders and test points"] = 0,
) -> Cells[Cell]:
    """The cells: sets, places, masks, orders, test points, in this order."""
    source = load(suite, lexicon, options or 0)
    shots = source.shots if shots is None else shots
    distractors = source.distractors if distractors is None else distractors
    check_least(1, limit=limit, orders=orders, ig_steps=ig_steps)
    check_least(0, shots=shots, distractors=distractors, masks=masks)
    check_once(question=question, masks=masks)
    steps = ig_steps if method == "integrated-gradients" else 0
    alike = {"shots": shots, "distractors": distractors, "seed": seed, "method": method}
    alike |= questions.shared(source, suite, lexicon, answer)
    return cells_of(
        Cell,
        ("set", questions.chosen_sets(source, tasks)),
        ("question", question),
        ("appended_masks", masks),
        ("example_order", range(orders)),
        ("item", range(limit)),
        **alike | {"ig_steps": steps, "detail": detail},
    )


def suited(entry: Checkpoint) -> dict[str, Any]:
    """Block-causal models: no masks, and as many as the answer's block has room for."""
    return {"masks": (0, entry.block_rest)} if entry.block else {}


def unwritten(options: Mapping[str, Any], entry: Checkpoint) -> tuple[str, ...]:
    """The column of another method."""
    return () if options["method"] == "integrated-gradients" else ("gap",)


def refuse(cell: Cell, entry: Checkpoint) -> str:
    """Why a cell can't be asked of a model; empty if it can."""
    return questions.refused(entry, cell.question, cell.appended_masks, cell.appended_masks)


def shown(cell: Cell, example: Example, causal: bool) -> tuple[list[str], Prompt]:
    """The prompt of a test point, with masks or open (causal), and the label of each of its turns.

    The labels are "relevant", "distractor" and "question".
    """
    mixed = questions.mixed(cell, cell.example_order)
    sides, turns = [side for side, _ in mixed], [turn for _, turn in mixed]
    at = {"left": 0, "middle": len(turns) // 2, "right": len(turns)}[cell.question]
    masks = None if causal else cell.appended_masks + (cell.appended_masks > 0)
    turns.insert(at, ask(questions.template_of(cell), example, masks))
    return [*sides[:at], "question", *sides[at:]], questions.prompt(cell, tuple(turns))


def measure(
    engine: AnyEngine, cells: Sequence[Cell]
) -> Iterator[tuple[Cell, dict[str, list[dict[str, Any]]]]]:
    """A row for each example and for the question, each group, and each token if asked for."""
    points = questions.test_points(cells)
    labels, prompts, queries = [], [], []
    for cell, example in zip(cells, points, strict=True):
        sides, prompt = shown(cell, example, engine.entry.kind == "causal")
        labels.append(sides)
        prompts.append(prompt)
        queries.append(questions.query(engine, cell, example, prompt))
    how = next(((cell.method, cell.ig_steps) for cell in cells), ())  # a plan has one
    answers = engine.attribute(queries, *how)
    for n, (cell, example, found) in enumerate(zip(cells, points, answers, strict=True)):
        rows = {
            "examples": token_scores.of_examples(engine, prompts[n], labels[n], found.scores),
            "groups": token_scores.of_groups(engine, queries[n], found.scores),
        }
        if cell.detail == "token":
            rows["tokens"] = token_scores.of_tokens(engine, queries[n], found.scores)
        right = answer_text(example, example.right, cell.answer_form)
        predicted = engine.border.decode([found.token])
        shared = {"right": right, "predicted": predicted, "logit": found.logit, "gap": found.gap}
        shared |= {"correct": one_token.correct(predicted, right)}
        shared |= {"task": questions.relevant_task(cell)}
        yield cell, {kind: [row | shared for row in own] for kind, own in rows.items()}
