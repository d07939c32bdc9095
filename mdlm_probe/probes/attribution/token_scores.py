"""Scores of a prompt's tokens, summed up over its examples and over groups of tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mdlm_probe.core.columns import empty
from mdlm_probe.probes.attribution.columns import SCORES

if TYPE_CHECKING:
    from mdlm_probe.engine.queries import Asker, Query
    from mdlm_probe.prompts.prompt import Prompt

LAST = 50
"""Tokens other than masks, from the end, that make a group of their own (arXiv 2511.21338)."""


def rows(
    asker: Asker, query: Query, prompt: Prompt, labels: Sequence[str], scores: Iterable[float]
) -> list[dict[str, Any]]:
    """Rows of a prompt's examples from left to right, the question among them, then of its groups.

    Scores may be signed. Parts would cancel out, so sums are of absolute values (ours).

    Args:
        asker: the engine: which token is whose.
        query, prompt: what was asked.
        labels: of each turn of the prompt.
        scores: of each token.
    """
    sizes = [abs(float(score)) for score in scores]
    turns: list[list[float]] = [[] for _ in labels]
    for size, turn in zip(sizes, asker.border.owners(prompt), strict=True):
        if turn >= 0:
            turns[turn].append(size)
    at, found = labels.index("question"), []
    largest = max((sum(part) for i, part in enumerate(turns) if i != at), default=0.0)
    for i, (label, part) in enumerate(zip(labels, turns, strict=True)):
        found.append(_row("example", i - (i > at), label, part, sum(part), largest))
    for label, places in groups(query, asker.entry.mask_id).items():
        part = [sizes[i] for i in places]
        found.append(_row("group", None, label, part, sum(part) / len(part), max(sizes)))
    return found


def of_tokens(asker: Asker, query: Query, scores: Iterable[float]) -> list[dict[str, Any]]:
    """Rows of all tokens, signs kept; their normalised scores have none."""
    values = [float(score) for score in scores]
    largest = max(map(abs, values))
    texts = [asker.border.decode([token]) for token in query.ids]
    return [
        _row("token", i, text, [value], abs(value), largest)
        for i, (text, value) in enumerate(zip(texts, values, strict=True))
    ]


def groups(query: Query, mask_id: int | None) -> dict[str, list[int]]:
    """Positions of the asked mask ("answer"), of the other masks, of the last and of all others.

    Groups without a token are left out.
    """
    masks = [i for i, token in enumerate(query.ids) if token == mask_id]
    others = [i for i, token in enumerate(query.ids) if token != mask_id]
    found = {
        "answer": [i for i in masks if i in query.positions],
        "masks": [i for i in masks if i not in query.positions],
        f"last-{LAST}": others[-LAST:],
        "all": others,
    }
    return {label: places for label, places in found.items() if places}


def _row(
    unit: str, place: int | None, label: str, part: list[float], value: float, largest: float
) -> dict[str, Any]:
    total = sum(part)
    return empty(SCORES) | {
        "unit": unit,
        "place": place,
        "label": label,
        "tokens": len(part),
        "score": total,
        "mean": total / len(part),
        "normalised": value / largest if largest else None,
    }
