"""Displacement: answers written while some of their tokens are moved, and what became of them.

Every intervened answer stands beside the unintervened one to the same prompt, written with the same
random numbers. No torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mdlm_probe.core import shared_columns as shared
from mdlm_probe.core.cells import key
from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.columns import Unit
from mdlm_probe.decoding import answers, coordinates, text_metrics, text_quality
from mdlm_probe.decoding.answers import Answer, Score
from mdlm_probe.decoding.canvas import NO_INTERVENTION
from mdlm_probe.decoding.canvas_of_prompt import in_tokens
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.probes.shift.interventions import Change, Intervene, displaced
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.prompts.texts import load

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._border import Border
    from mdlm_probe.models._checkpoint import Checkpoint

Kind = Literal["shift", "post-hoc", "replace", "hold"]


@dataclass(frozen=True, slots=True)
class AnswerCell(coordinates.PromptCell):
    """What a probe's cell says of an answer; "none" is the unintervened one, of fraction 0."""

    length: coordinates.Length
    steps: coordinates.Steps
    block: coordinates.BlockSize
    order: coordinates.CommitOrder
    threshold: coordinates.Threshold
    temperature: coordinates.Temperature
    guidance: coordinates.Guidance
    eos: coordinates.EndOfText
    cache: coordinates.KeptCache
    seed: coordinates.Seed
    intervention: Annotated[str, shared.INTERVENTION.meaning]
    frac: Annotated[float, shared.FRAC.meaning, Unit(shared.FRAC.unit)]

    def schedule(self) -> Schedule:
        """How its canvas is filled in: the same for all answers to a prompt."""
        return coordinates.schedule_of(self, seed_of("decode", self.prompt, self.seed))

    def plain(self) -> AnswerCell:
        """The unintervened answer beside it."""
        return replace(self, intervention=NO_INTERVENTION, frac=0.0)

    def decoded(self) -> AnswerCell:
        """The answer that has to be decoded for its moves: post-hoc takes those of a shift."""
        return replace(self, intervention="shift") if self.intervention == "post-hoc" else self

    def intervene(self, entry: Checkpoint) -> Intervene | None:
        """Its intervention; larger fractions, and other kinds, have the same random numbers."""
        if self.intervention == NO_INTERVENTION:
            return None
        never = self.schedule().never(entry.eos_ids)
        seed = seed_of("intervene", self.prompt, self.seed)
        kind = self.intervention
        return Intervene(kind, self.frac, seed, self.length, never)  # type: ignore[arg-type]  # text


@dataclass(frozen=True)
class IntervenedAnswer:
    """A canvas in the end, and what was done to it.

    Attributes:
        answer: what it says.
        tokens: of the window.
        done: changes that took place.
        hits: changes that were to take place.
        late: moves of a token that stands in for another.
        offered: tokens that were about to be committed.
        wrote: places that the intervention wrote.
    """

    answer: Answer
    tokens: tuple[int, ...]
    done: tuple[Change, ...]
    hits: int
    late: int
    offered: int
    wrote: frozenset[int]


def rows(engine: AnyEngine, cells: Sequence[AnswerCell]) -> Iterator[dict[str, Any]]:
    """The columns of some answers, in their order.

    Args:
        engine: its `scorer` gives likelihoods, where there is one.
        cells: what is decoded for several of them is decoded once.

    Raises:
        ProbeError: a prompt that leaves no room, or can't be read.
    """
    texts = load(cells[0].prompts, cells[0].lexicon)
    known = {text.id: in_tokens(engine, text) for text in texts}
    runs = _decode(engine, cells, known)
    found = [_run(engine, cell, runs) for cell in cells]
    asked = [known[cell.prompt] for cell in cells]
    scores = answers.score(engine.scorer, asked, [run.answer.text for run in found])
    for cell, text, run, score in zip(cells, asked, found, scores, strict=True):
        yield _row(engine.border, engine.entry, cell, text, run, runs[cell.plain()], score)


# ---------------------------------------------------------------------- runs


def _decode(
    engine: AnyEngine, cells: Sequence[AnswerCell], known: dict[str, Text]
) -> dict[AnswerCell, IntervenedAnswer]:
    """Every answer that has to be decoded, all side by side."""
    own = dict.fromkeys(cell.decoded() for cell in cells)
    needed = own | dict.fromkeys(cell.plain() for cell in cells)
    hooks = [cell.intervene(engine.entry) for cell in needed]
    found = answers.write(
        engine,
        [known[cell.prompt] for cell in needed],
        cells[0].length,
        [cell.schedule() for cell in needed],
        [key(cell) for cell in needed],
        hooks,
        beside=len(needed) - len(own),
    )
    return {
        cell: _as_decoded(answer, hook)
        for cell, hook, answer in zip(needed, hooks, found, strict=True)
    }


def _as_decoded(answer: Answer, hook: Intervene | None) -> IntervenedAnswer:
    tokens = answer.decoded.tokens
    if hook is None:
        written = sum(step > 0 for step in answer.decoded.steps)
        return IntervenedAnswer(answer, tokens, (), 0, 0, written, frozenset())
    done = tuple(change for change in hook.changes if change.done)
    wrote = frozenset(change.to for change in done if change.written is not None)
    return IntervenedAnswer(answer, tokens, done, hook.hits, hook.late, hook.offered, wrote)


def _run(
    engine: AnyEngine, cell: AnswerCell, runs: dict[AnswerCell, IntervenedAnswer]
) -> IntervenedAnswer:
    """An answer as it was decoded, or the unintervened one with the moves of a shift.

    The dose is the shift's: as many tokens displaced, into the same places.
    """
    run = runs[cell.decoded()]
    if cell.intervention != "post-hoc":
        return run
    plain = runs[cell.plain()]
    tokens = _moved(engine.entry, plain.tokens, run.done)
    answer = answers.cut(engine.border, engine.entry, tokens, plain.answer.decoded)
    return replace(run, answer=answer, tokens=tokens)


def _moved(
    entry: Checkpoint, tokens: tuple[int, ...], changes: Sequence[Change]
) -> tuple[int, ...]:
    """Tokens moved after decoding; behind an end of text stands nothing that a move could show."""
    end = _end(entry, tokens)
    shown = (*tokens[:end], *tokens[end : end + 1] * (len(tokens) - end))
    found = displaced(shown, changes)
    end = _end(entry, found) + 1
    return (*found[:end], *tokens[end:])


# ---------------------------------------------------------------------- rows


def _row(
    border: Border,
    entry: Checkpoint,
    cell: AnswerCell,
    text: Text,
    run: IntervenedAnswer,
    plain: IntervenedAnswer,
    score: Score | None,
) -> dict[str, Any]:
    decoded = run.answer.decoded
    return {
        "prompt_tokens": len(decoded.canvas.ids) - len(decoded.canvas.places),
        "answer": run.answer.text,
        "ended": run.answer.ended,
        "answer_tokens": len(run.answer.ids),
        "nll": score.nll if score else None,
        "scorer_tokens": score.tokens if score else None,
        "right": text.answer or None,
        "correct": text_metrics.exact(run.answer.text, text.answer) if text.answer else None,
        **text_quality.columns_of(text.prompt, run.answer.text, run.answer.ids),
        **_changes(entry, cell.intervention, run),
        **_against(entry, run, plain),
        "passes": decoded.passes,
        "moves": " ".join(f"{change.step}:{change.mask}:{change.to}" for change in run.done),
        "unmasked": " ".join(map(str, _steps(cell, run))),
        "canvas": answers.pieces(border, entry, run.tokens),
    }


def _steps(cell: AnswerCell, run: IntervenedAnswer) -> list[int]:
    steps = list(run.answer.decoded.steps)
    if cell.intervention == "post-hoc":
        after = max(steps, default=0) + 1
        steps = [after if place in run.wrote else step for place, step in enumerate(steps)]
    return steps


def _changes(entry: Checkpoint, intervention: str, run: IntervenedAnswer) -> dict[str, Any]:
    """What was done, and what became of the places that moved tokens left."""
    moved = intervention in ("shift", "post-hoc")
    left = run.done if intervention == "shift" else ()
    decoded = run.answer.decoded
    filled = [change for change in left if decoded.steps[change.mask] > change.step]
    end = _end(entry, run.tokens)
    return {
        "offered": run.offered,
        "hits": run.hits,
        "changed": len(run.done),
        "realised": len(run.done) / run.offered,
        "blocked": run.hits - len(run.done),
        "late": run.late if moved else None,
        "to_right": sum(change.to > change.mask for change in run.done) if moved else None,
        "to_left": sum(change.to < change.mask for change in run.done) if moved else None,
        "refilled": len(filled) if intervention == "shift" else None,
        "doubled": sum(decoded.tokens[change.mask] == change.token for change in filled)
        if intervention == "shift"
        else None,
        "visible": sum(change.to <= end for change in run.done),
    }


def _against(entry: Checkpoint, run: IntervenedAnswer, plain: IntervenedAnswer) -> dict[str, Any]:
    """How far an answer is from the unintervened one."""
    ours, theirs = run.answer.ids, plain.answer.ids
    first = text_metrics.divergence(ours, theirs)
    both = zip(_seen(entry, run.tokens), _seen(entry, plain.tokens), strict=True)
    differ = {place for place, (a, b) in enumerate(both) if a != b}
    return {
        "edit_distance": text_metrics.edit_distance(ours, theirs),
        "divergence": first,
        **{
            f"parted_{window}": None if first is None else _parted(ours, theirs, first, window)
            for window in (8, 32)
        },
        "cascade": len(differ - run.wrote),
    }


def _parted(ours: Sequence[int], theirs: Sequence[int], first: int, window: int) -> float | None:
    """NaN as an empty field."""
    share = text_metrics.parted(ours, theirs, first, window)
    return share if share == share else None


def _end(entry: Checkpoint, tokens: Sequence[int]) -> int:
    """The place of the first end of text; behind all where there is none."""
    ends = (place for place, token in enumerate(tokens) if token in entry.eos_ids)
    return next(ends, len(tokens))


def _seen(entry: Checkpoint, tokens: Sequence[int]) -> Iterator[int]:
    """Tokens with an end of text in every place from the first end on."""
    end = _end(entry, tokens)
    return (token if place < end else -1 for place, token in enumerate(tokens))
