"""Scores of a prompt's tokens, summed up over its examples and over groups of tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mdlm_probe.engine.queries import Asker, Query
    from mdlm_probe.prompts.prompt import Prompt

LAST = 50
"""Tokens other than masks, from the end, that make a group of their own (arXiv 2511.21338)."""


def of_examples(
    asker: Asker, prompt: Prompt, labels: Sequence[str], scores: Iterable[float]
) -> list[dict[str, Any]]:
    """Rows of a prompt's examples from left to right, the question among them.

    Scores may be signed. Parts would cancel out, so sums are of absolute values (ours).

    Args:
        asker: the engine: which token is whose.
        prompt: what was asked.
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
        head = {"examples_before": i - (i > at), "label": label}
        found.append(head | _row(part, _share(sum(part), largest)))
    return found


def of_groups(asker: Asker, query: Query, scores: Iterable[float]) -> list[dict[str, Any]]:
    """Rows of a prompt's groups of tokens, with sums as in `of_examples`."""
    sizes, found = [abs(float(score)) for score in scores], []
    grouped = groups(query, asker.entry.mask_id)
    own = grouped.get("answer", [])
    for label, places in grouped.items():
        part = [sizes[i] for i in places]
        shares = _shares(sum(part) / len(part), sizes, own, label == "answer")
        found.append({"group": label} | _row(part, shares[0]) | {"by_others": shares[1]})
    return found


def of_tokens(asker: Asker, query: Query, scores: Iterable[float]) -> list[dict[str, Any]]:
    """Rows of all tokens, signs kept; their normalised scores have none."""
    values = [float(score) for score in scores]
    sizes = [abs(value) for value in values]
    own = groups(query, asker.entry.mask_id).get("answer", [])
    texts = [asker.border.decode([token]) for token in query.ids]
    found = []
    for i, (text, value) in enumerate(zip(texts, values, strict=True)):
        normalised, by_others = _shares(sizes[i], sizes, own, i in own)
        head = {"token_position": i, "token_text": text}
        found.append(head | _row([value], normalised) | {"by_others": by_others})
    return found


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


def _shares(
    value: float, sizes: Sequence[float], own: Sequence[int], is_own: bool
) -> tuple[float | None, float | None]:
    """A value by the prompt's largest token, and by the largest but the answer's own mask.

    Args:
        value: the size of a token, or a mean of several.
        sizes: of all tokens.
        own: the place of the answer's mask; none in causal models.
        is_own: whether the value is that mask's, which is no share of the others.
    """
    others = max((size for i, size in enumerate(sizes) if i not in own), default=0.0)
    return _share(value, max(sizes)), None if is_own else _share(value, others)


def _share(value: float, largest: float) -> float | None:
    return value / largest if largest else None


def _row(part: list[float], normalised: float | None) -> dict[str, Any]:
    total = sum(part)
    found = {"summed_tokens": len(part), "score": total, "mean": total / len(part)}
    return found | {"normalised": normalised}
