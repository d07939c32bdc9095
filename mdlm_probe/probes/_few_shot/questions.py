"""Few-shot questions as queries, and the answers to them as rows: what the suite's probes share."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mdlm_probe.core import shared_columns as columns
from mdlm_probe.core.catalog import unknown
from mdlm_probe.core.cells import key, seeded_as
from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.columns import FILE, Column, Holds, Unit
from mdlm_probe.core.errors import Refusal
from mdlm_probe.core.options import Traits
from mdlm_probe.decoding import coordinates
from mdlm_probe.engine.queries import Answer, Asker, Query
from mdlm_probe.probes._few_shot import lm_eval_choices, one_token
from mdlm_probe.probes._few_shot.scoring import Scoring, ScoringQueries
from mdlm_probe.prompts import lm_eval_suite
from mdlm_probe.prompts import suite as tasks
from mdlm_probe.prompts.few_shot_sets import (
    LETTERS,
    MAX_OPTIONS,
    Example,
    FewShotSet,
    Joined,
    Template,
    Turn,
    ask,
)
from mdlm_probe.prompts.prompt import Prompt
from mdlm_probe.prompts.suite import Suite

if TYPE_CHECKING:
    from mdlm_probe.models._checkpoint import Checkpoint

COLUMNS = (
    columns.TASK,
    columns.TOKENS,
    columns.RIGHT,
    columns.PREDICTED,
    columns.CORRECT,
    columns.LOGP_RIGHT,
    *(
        Column(
            f"logp_{letter}",
            float,
            "nats",
            f"log-probability of option {letter}; -inf: impossible",
            optional=letter in LETTERS[2:],
        )
        for letter in LETTERS[:MAX_OPTIONS]
    ),
    columns.ENTROPY,
    columns.TOP1_PROB,
    Column("reused", int, "options", "options of the question that a relevant example has, too"),
)
"""Columns of an answered question."""

TasksOption = Annotated[tuple[str, ...], "sets, relevant tasks, or 'all'", Traits("tasks")]
AnswerOption = Annotated[
    Literal["letter", "word"] | None, "form of the answer; default: the suite's (letter)"
]
LexiconOption = Annotated[str, "word lists of the suite: full or small", Traits("lexicons")]
CountOption = Annotated[int | None, "options per question; default: the suite's (3)"]
SuiteOption = Annotated[
    str, "suite in tasks/, or path to a YAML file of your own", Traits("suites", material=True)
]
"""Options that every few-shot probe's plan has."""

SIDES = ("relevant", "distractor")

Draw = tuple[str, str, int, str, int, int]
"""What examples and test points are drawn by."""


@dataclass(frozen=True, slots=True)
class FewShotCell:
    """The coordinates that draw a test point and its examples: the first of a few-shot probe's."""

    suite: Annotated[str, "name of the suite in tasks/, or its path", FILE]
    set: Annotated[str, "set of questions: a relevant task among a distractor task"]
    lexicon: coordinates.Lexicon
    answer_form: Annotated[str, "what the answer is: letter or word", Holds("answer")] = field(
        metadata=seeded_as("answer")
    )
    options: Annotated[int, "options of a question"]
    shots: Annotated[int, "relevant examples", Unit("examples")]
    distractors: Annotated[int, "distractor examples", Unit("examples")]
    seed: coordinates.Seed
    item: coordinates.Item


def chosen_sets(suite: Suite, names: Sequence[str]) -> list[str]:
    """Set names from what a user typed: sets, relevant tasks (both their sets), or "all".

    Raises:
        ProbeError: a name that is none of them.
    """
    out: list[str] = []
    for name in names:
        found = [s for s, fs in suite.sets.items() if name in (s, fs.relevant.name, "all")]
        if not found:
            raise unknown("task", name, [*suite.sets, "all"])
        out += found
    return list(dict.fromkeys(out))


def refused(entry: Checkpoint, place: str, masks: int, behind: int) -> str:
    """Why a question at a place (left, middle, right) can't be asked of a model; empty if it can.

    Args:
        entry: the model's.
        place: the question's.
        masks: what its masks are told by; 0: one, closed.
        behind: of the masks, those behind the answer's own.
    """
    if entry.kind == "causal" and place != "right":
        return f"a causal model can't see examples after a question at the {place}"
    if entry.kind == "causal" and masks:
        return "a causal model has no masks"
    if entry.attention == "block-causal" and place != "right":
        return f"blocks don't see examples in the blocks after a question at the {place}"
    return unseen(behind, entry)


def unseen(behind: float, entry: Checkpoint) -> str:
    """Why so many tokens behind the answer can't be asked about; empty if they can.

    What stands in later blocks can't change a block-causal model's answer: a curve over it would be
    flat by construction, whatever the model does with masks.
    """
    if entry.attention == "block-causal" and behind > entry.block_rest:
        found = f"tokens beyond the answer's block of {entry.block} can't be seen"
        return Refusal.of(f"{found}: {entry.block_rest} behind it at most", "masks")
    return ""


def unwritten(options: Mapping[str, Any], entry: Checkpoint) -> tuple[str, ...]:
    """Columns of options that no question has.

    Args:
        options: of a probe of answered questions, resolved.
        entry: the model's.
    """
    lm = {name: options[name] for name in lm_eval_suite.OWN}
    suite = lm_eval_suite.named(options["suite"], options["options"], **lm)
    source = load(suite, options["lexicon"], options["options"])
    return tuple(f"logp_{letter}" for letter in LETTERS[source.options : MAX_OPTIONS])


def sources(suite: str, lexicon: str, options: int | None, **given: Any) -> dict[str, str]:
    """What a suite's questions are drawn from, as a hash: other files, another measurement.

    An lm-eval task: the documents that are used.
    """
    if given.get("lm_eval_task"):
        return lm_eval_suite.sources(suite=suite, lexicon=lexicon, options=options, **given)
    return {"suite": tasks.load(suite, lexicon, options or 0).digest()}


def load(suite: str, lexicon: str, options: int | None = 0) -> Suite:
    """A suite by the name that cells have."""
    if suite.startswith(lm_eval_suite.PREFIX):
        return lm_eval_suite.load(suite, lexicon)
    return tasks.load(suite, lexicon, options or 0)


def shared(source: Suite, suite: str, lexicon: str, answer: str | None) -> dict[str, Any]:
    """The coordinates that all cells of a plan have alike.

    Args:
        source, suite, lexicon: the suite, and the names that it was loaded by.
        answer: how answers are written; None: the suite's way.
    """
    named = {"suite": suite, "lexicon": lexicon}
    return named | {"answer_form": answer or source.answer, "options": source.options}


def test_points(cells: Sequence[FewShotCell]) -> list[Example]:
    """The test point of every cell."""
    needed: dict[tuple[Any, ...], int] = {}
    for cell in cells:
        needed[_draw(cell)] = max(needed.get(_draw(cell), 0), cell.item + 1)
    return [_points(_draw(cell), needed[_draw(cell)])[cell.item] for cell in cells]


def template_of(cell: FewShotCell) -> Template:
    """The template of a cell's set."""
    return _set(cell).template


def shots(cell: FewShotCell, side: str) -> tuple[Turn, ...]:
    """The answered turns of a side's examples, "relevant" or "distractor", in fixed order."""
    return tuple(one.turn for one in _written(_draw(cell), side, *_how(cell, side)))


def mixed(cell: FewShotCell, order: int = 0) -> list[tuple[str, Turn]]:
    """All examples of a cell's set in one of its random orders, each as (side, answered turn).

    The order depends on the set and on how many examples there are, not on the test point: as in
    arXiv 2511.21338, every test point of a set sees the same examples in the same order.
    """
    found = [(side, turn) for side in SIDES for turn in shots(cell, side)]
    rng = random.Random(seed_of("order", *_draw(cell), cell.distractors, order))
    return rng.sample(found, len(found))


def prompt(cell: FewShotCell, turns: tuple[Turn, ...]) -> Prompt:
    """A prompt of these turns, joined as the cell's set writes them."""
    known = [one for side in SIDES for one in _written(_draw(cell), side, *_how(cell, side))]
    return _set(cell).prompt(turns, known)


def mixed_prompt(cell: FewShotCell, example: Example, causal: bool) -> Prompt:
    """A test point after its examples in random order, ending in one mask, or open (causal)."""
    turns = [turn for _, turn in mixed(cell)]
    asked = ask(template_of(cell), example, None if causal else 1)
    return prompt(cell, (*turns, asked))


# ---------------------------------------------------------------------- scoring


SCORING: dict[str, Scoring] = {"token": one_token, "choices": lm_eval_choices}
"""Ways of scoring, by what sets say of themselves (`FewShotSet.scored`)."""


def query(asker: Asker, cell: FewShotCell, example: Example, asked: Prompt) -> Query:
    """A prompt that asks for the first token of the answer, with which a block begins."""
    source = _set(cell)
    scoring = SCORING[source.scored]
    found = scoring.query(asker, source, example, asked, cell.answer_form, key(cell))
    return replace(found, origin=asker.entry.origin_at(found.positions[0]))


def spread(
    asker: Asker, cell: FewShotCell, example: Example, query: Query, steps: int = 1
) -> ScoringQueries:
    """All that is asked of a test point: one query, or those of choices of several tokens.

    Raises:
        ProbeError: choices of several tokens, which several steps can't be read for.
    """
    source = _set(cell)
    return SCORING[source.scored].spread(asker, source, example, query, steps)


def answered(
    asker: Asker,
    cell: FewShotCell,
    example: Example,
    asked: ScoringQueries,
    answers: Sequence[Answer],
) -> dict[str, Any]:
    """The columns of an answered test point, by the answers to its queries."""
    source = _set(cell)
    scoring = SCORING[source.scored]
    row = scoring.row(asker, source, example, asked, answers, cell.answer_form)
    known = _options(_draw(cell))
    reused = sum(option.lower() in known for option in example.options)
    return {"task": source.relevant.name} | row | {"reused": reused}


def relevant_task(cell: FewShotCell) -> str:
    """The relevant task of a cell's set: sets that share it are no independent units."""
    return _set(cell).relevant.name


# ---------------------------------------------------------------------- draws


def _draw(cell: FewShotCell) -> Draw:
    return cell.suite, cell.lexicon, cell.options, cell.set, cell.shots, cell.seed


def _set(cell: FewShotCell) -> FewShotSet:
    return load(cell.suite, cell.lexicon, cell.options)[cell.set]


def _points(draw: Draw, count: int) -> Sequence[Example]:
    """The first test points, `count` of them or more: fewer are a prefix of more."""
    suite, lexicon, options, name, shots, seed = draw
    known = _drawn(draw)
    if len(known) < count:
        known[:] = load(suite, lexicon, options)[name].items(count, seed, shots)
    return known


@lru_cache(maxsize=64)
def _drawn(draw: Draw) -> list[Example]:
    """The most test points that were asked for so far."""
    return []


@lru_cache(maxsize=256)
def _written(draw: Draw, side: str, count: int, answer: str) -> tuple[Joined, ...]:
    suite, lexicon, options, name, _, seed = draw
    return load(suite, lexicon, options)[name].written(side, count, seed, answer)


@lru_cache(maxsize=256)
def _options(draw: Draw) -> frozenset[str]:
    """The options of the relevant examples, in lower case."""
    suite, lexicon, options, name, count, seed = draw
    shown = load(suite, lexicon, options)[name].shots("relevant", count, seed)
    return frozenset(option.lower() for example in shown for option in example.options)


def _how(cell: FewShotCell, side: str) -> tuple[int, str]:
    """How many examples of a side there are, and how they are answered."""
    return cell.shots if side == "relevant" else cell.distractors, cell.answer_form
