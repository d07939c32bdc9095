"""Pairs of answers of two models to the same prompts, and what has no partner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from mdlm_probe.core.catalog import unknown
from mdlm_probe.core.cells import key
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding.canvas import NO_INTERVENTION
from mdlm_probe.runs.judges.answer_pairs import AnswerPair
from mdlm_probe.runs.judges.answer_sets import AnswerSet, ModelAnswer


@dataclass(frozen=True)
class ModelChoice:
    """Which answers of models are judged.

    Attributes:
        limit: prompts of each task, the first ones that both models answer; None: all.
        against: a model that all others are compared with; "": each with each.
    """

    limit: int | None = None
    against: str = ""


def pairs_of(
    sets: Sequence[AnswerSet], choice: ModelChoice
) -> tuple[list[AnswerPair], dict[str, dict[str, int]]]:
    """Pairs of answers to the same prompt, that is: its id and its text.

    Of several answers to a prompt the first of both are a pair, the second, and so on.

    Returns:
        The pairs, by models and then in the first one's order; and by two models' names what has
        no partner, by why: answers that only one side has, and prompts of one id with different
        texts.

    Raises:
        ProbeError: one model only, an unknown one, or nothing in common.
    """
    if len(sets) < 2:
        one = sets[0].name if sets else "none"
        raise ProbeError(f"one model's answers only: {one}", expected="two models, or more")
    names = [one.name for one in sets]
    if choice.against and choice.against not in names:
        error = unknown("model", choice.against, names)
        raise ProbeError(error.found, expected=error.expected, hint=error.hint, option="against")
    found: list[AnswerPair] = []
    left: dict[str, dict[str, int]] = {}
    for first, second in _matches(sets, choice.against):
        pairs, without = _paired(first, second, choice.limit)
        found += pairs
        if without:
            left[f"{first.name} against {second.name}"] = without
    if not found:
        raise ProbeError(
            f"no prompt is answered by two of {', '.join(names)}",
            expected="answers to the same prompts: the same ids and texts",
            hint="; ".join(f"{name}: {_told(counts)}" for name, counts in left.items()),
        )
    return found, left


def told_without(left: dict[str, dict[str, int]]) -> list[str]:
    """What has no partner, in words."""
    return [f"{name}, not compared: {_told(counts)}" for name, counts in left.items()]


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{what}: {count}" for what, count in counts.items())


def _matches(sets: Sequence[AnswerSet], against: str) -> list[tuple[AnswerSet, AnswerSet]]:
    if not against:
        return list(combinations(sets, 2))
    base = next(one for one in sets if one.name == against)
    return [(one, base) for one in sets if one is not base]


def _paired(
    first: AnswerSet, second: AnswerSet, limit: int | None
) -> tuple[list[AnswerPair], dict[str, int]]:
    """The pairs of two sets, and how many answers have no partner, by why."""
    ours, theirs = _by_prompt(first), _by_prompt(second)
    without: Counter[str] = Counter()
    texts = {prompt for prompt, _ in theirs}
    places: Counter[str] = Counter()
    pairs = []
    for at, answers in ours.items():
        others = theirs.get(at, [])
        if not others and at[0] in texts:
            without["prompts with another text under the same id"] += 1
            continue
        without[f"answers of {first.name} alone"] += max(0, len(answers) - len(others))
        without[f"answers of {second.name} alone"] += max(0, len(others) - len(answers))
        task = answers[0].asked.task
        if not others or (limit is not None and places[task] >= limit):
            continue
        places[task] += 1
        for number, (one, other) in enumerate(zip(answers, others, strict=False), 1):
            pairs.append(_pair(first.name, second.name, one, other, number))
    ids = {prompt for prompt, _ in ours}
    missing = [len(answers) for (prompt, _), answers in theirs.items() if prompt not in ids]
    without[f"answers of {second.name} alone"] += sum(missing)
    return pairs, {what: count for what, count in without.items() if count}


def _by_prompt(answers: AnswerSet) -> dict[tuple[str, str], list[ModelAnswer]]:
    found: dict[tuple[str, str], list[ModelAnswer]] = {}
    for one in answers.answers:
        found.setdefault((one.asked.id, one.asked.conversation), []).append(one)
    return found


def _pair(
    model: str, against: str, one: ModelAnswer, other: ModelAnswer, number: int
) -> AnswerPair:
    text = one.asked
    named = {"model": model, "against": against, "prompt": text.id, "seed": one.seed}
    named |= {"intervention": NO_INTERVENTION, "frac": "0.0"}
    return AnswerPair(
        key(named) + (f"#{number}" if number > 1 else ""),
        *(model, text.id, text.task, "", one.seed, NO_INTERVENTION, "0.0"),
        answer=one.answer,
        other=other.answer,
        asked=text.conversation,
        right=text.answer,
        against=against,
    )
