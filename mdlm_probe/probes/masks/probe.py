"""Do appended masks distract a model from its context?

Relevant examples and distractors are mixed at random, the question comes last, and k masks are
appended to the mask of its answer, or as many tokens of something else: this tells apart what masks
do and what any long tail does. Source: "Masks Can Be Distracting" (arXiv 2511.21338),
section 5: masks, dots, steps. Ours: k counts the appended masks only (the paper's k from 1 on
counts the answer's own mask, too); fillers other than dots, and the defaults `text` and `eos`: a
dot, which texts hardly repeat, costs by being unfamiliar what is then taken for its length (of a
bundled model: one dot as much as 200); that the `].` between the answer's mask and a filler counts
as a part of it; masks before the prompt; steps of about equal size. With an
lm-eval task, k counts from the last mask of a choice: one of n tokens has n masks of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mdlm_probe.core import shared_columns as shared
from mdlm_probe.core.cell_ranges import Cells, cells_of
from mdlm_probe.core.cells import key, seeded_as
from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.columns import Column, Holds
from mdlm_probe.core.errors import Refusal
from mdlm_probe.core.options import AMOUNT, check_least, check_once
from mdlm_probe.decoding import coordinates
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine.queries import Query
from mdlm_probe.probes._few_shot import questions, scoring
from mdlm_probe.probes.masks import fillers, watched_mask
from mdlm_probe.probes.masks.fillers import Filler, Side, Tail, amount
from mdlm_probe.prompts import lm_eval_suite

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._checkpoint import Checkpoint

Order = Literal["low_confidence", "random"]
KINDS = ("masked", "causal")
sources, unwritten = questions.sources, questions.unwritten
shown = questions.mixed_prompt
COLUMNS = (
    *questions.COLUMNS,
    Column("appended", int, "tokens", "tokens that were appended"),
    Column("mask_tokens", int, "tokens", "masks in the prompt, the answer's own among them"),
    Column("answer_step", int, "", "step that committed the answer's mask, from 1"),
)
GRID = ("0", "1", "2", "5", "10", "20", "35", "50", "75", "100", "150", "200")


@dataclass(frozen=True, slots=True)
class Cell(questions.FewShotCell):
    """One test point with something appended.

    `amount` is how much: a count, a share of the prompt's tokens such as "5%", or "max" for as much
    as the context holds. With "0" nothing is appended, so filler, side and order are "none".
    """

    amount: Annotated[
        str, "how much is appended: a count, a share of the prompt, or max", Holds("masks")
    ] = field(metadata=seeded_as("masks"))
    filler: Annotated[str, "what is appended, such as mask, text or eos"]
    side: Annotated[str, "where: right or left of the prompt, or both"]
    steps: coordinates.Steps
    order: Annotated[str, shared.ORDER.meaning]


def plan(
    *,
    masks: Annotated[
        tuple[str, ...], "how many masks to append: counts, shares of the prompt (5%), or max"
    ] = GRID,
    filler: Annotated[
        tuple[Filler, ...],
        "what to append; dot: as the tokenizer writes a run of them, dot-token: one token repeated",
    ] = ("mask", "text", "eos"),
    side: Annotated[
        tuple[Side, ...], "where: after the prompt, before it, or half on each side"
    ] = ("right",),
    steps: Annotated[tuple[int, ...], "unmasking steps that the masks are spread over"] = (1,),
    order: Annotated[tuple[Order, ...], "which masks a step commits, with several steps"] = (
        "low_confidence",
    ),
    tasks: questions.TasksOption = ("all",),
    shots: Annotated[tuple[int, ...], "relevant examples; default: the suite's (10)"] = (),
    distractors: Annotated[tuple[int, ...], "distractor examples; default: the suite's (40)"] = (),
    limit: Annotated[int, "test points per set", AMOUNT] = 1000,
    answer: questions.AnswerOption = None,
    lexicon: questions.LexiconOption = "full",
    options: questions.CountOption = None,
    suite: questions.SuiteOption = "few-shot",
    lm_eval_task: lm_eval_suite.LmTaskOption = "",
    data: lm_eval_suite.DataOption = "",
    include_path: lm_eval_suite.IncludeOption = "",
    metric: lm_eval_suite.MetricOption = None,
    seed: Annotated[int, "seed of examples, test points, random fillers and orders"] = 0,
) -> Cells[Cell]:
    """The cells of the sweep: all that is asked of a test point stands together."""
    suite = lm_eval_suite.named(suite, options, lm_eval_task, data, include_path, metric)
    source = questions.load(suite, lexicon, options)
    shots, distractors = shots or (source.shots,), distractors or (source.distractors,)
    check_least(1, limit=limit, steps=steps)
    check_least(0, shots=shots, distractors=distractors)
    lists: dict[str, tuple[Any, ...]] = {"filler": filler, "side": side, "order": order}
    lists |= {"steps": steps, "shots": shots, "distractors": distractors}
    check_once(masks=tuple(map(amount, masks)), **lists)
    lm_eval_suite.check_documents(source, limit, shots, seed)
    tails = fillers.combinations(masks, filler, side, steps, order)
    sets = ("set", questions.chosen_sets(source, tasks)), ("shots", shots)
    axes = *sets, ("distractors", distractors), ("item", range(limit))
    how = (("amount", "filler", "side", "steps", "order"), tails)
    return cells_of(Cell, *axes, how, **questions.shared(source, suite, lexicon, answer), seed=seed)


def suited(entry: Checkpoint) -> dict[str, Any]:
    """Block-causal models: as many masks as the answer's block has room for, and fewer."""
    rest = entry.block_rest if entry.block else 0
    return {"masks": (*(k for k in GRID if int(k) < rest), str(rest))} if rest else {}


def refuse(cell: Cell, entry: Checkpoint) -> str:
    """Why a cell can't be asked of a model; empty if it can."""
    if entry.kind == "causal" and cell.filler == "mask":
        return "a causal model has no masks"
    if cell.filler == "pad" and fillers.pad_is_eos(entry):
        return Refusal.of("its padding is the token that ends a text: --filler eos", "filler")
    return questions.unseen(fillers.behind(cell.amount, cell.side), entry)


def measure(
    engine: AnyEngine, cells: Sequence[Cell]
) -> Iterator[tuple[Cell, list[dict[str, Any]]]]:
    """One row per test point and tail: the answer when its mask was committed."""
    points, causal = questions.test_points(cells), engine.entry.kind == "causal"
    prompts: dict[Any, Query] = {}
    asks, schedules = [], []
    for cell, example in zip(cells, points, strict=True):
        point = cell.set, cell.shots, cell.distractors, cell.item
        if point not in prompts:
            asked = shown(cell, example, causal)
            prompts[point] = questions.query(engine, cell, example, asked)
        drawn = seed_of("filler", cell.set, cell.item, cell.seed)
        closing = questions.template_of(cell).closing()
        tail = Tail(cell.amount, cell.filler, cell.side, closing, drawn)
        query = replace(fillers.extend(engine, prompts[point], tail), name=key(cell))
        asks.append(questions.spread(engine, cell, example, query, cell.steps))
        order: Order = "random" if cell.order == "random" else "low_confidence"
        schedule = Schedule(cell.steps, order=order, seed=seed_of(cell), stop=False)
        schedules += [schedule] * len(asks[-1].queries)
    found = watched_mask.read(engine, [query for one in asks for query in one.queries], schedules)
    answers = scoring.grouped(asks, found)
    for cell, example, one, read in zip(cells, points, asks, answers, strict=True):
        row = questions.answered(engine, cell, example, one, [reading.answer for reading in read])
        own = len(prompts[cell.set, cell.shots, cell.distractors, cell.item].ids)
        extra = {"appended": len(one.query.ids) - own, "answer_step": read[0].step}
        extra["mask_tokens"] = one.query.ids.count(engine.entry.mask_id)
        yield cell, [row | extra]
