"""Spans: a few tokens in the middle of a text, what stands at both sides, and canvases of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import canvas_of_prompt
from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.probes.context.coordinates import Beyond
from mdlm_probe.prompts import infill

if TYPE_CHECKING:
    from mdlm_probe.engine.queries import Asker
    from mdlm_probe.models._border import Border
    from mdlm_probe.prompts.prompt import Text

ANSWER = 0
"""The length of a span that is the answer to a prompt with a marker, however long."""
ALL = "all"
Source = Literal["own", "foreign", "shuffled"]


@dataclass(frozen=True)
class Span:
    """A span within a text, in tokens.

    Attributes:
        left: what stands before it.
        tokens: its own; fewer than were wanted where the text ends.
        right: all that stands behind it.
    """

    left: tuple[int, ...]
    tokens: tuple[int, ...]
    right: tuple[int, ...]


@dataclass(frozen=True)
class Side:
    """What stands at the right of a span.

    Attributes:
        source: whose tokens; "none" where nothing is shown.
        amount: as it was asked for.
        tokens: what is seen.
    """

    source: str
    amount: str
    tokens: tuple[int, ...]


NOTHING = Side("none", "0", ())


def find(asker: Asker, text: Text, length: int) -> Span:
    """A text's span of so many tokens behind its prompt, or its answer in place of its marker.

    Raises:
        ProbeError: a prompt that can't be read, or is too long.
    """
    shown = text if length != ANSWER else _parted(asker.border, text)[0]
    left = canvas_of_prompt.span(asker, shown, 0, "left").ids
    if asker.entry.kind == "masked" and asker.entry.mask_id in left:
        raise ProbeError(
            f"prompt '{text.id}' spells the mask token of {asker.entry.name}",
            expected="a text without it",
        )
    return Span(left, *_following(asker, text, length))


def _following(asker: Asker, text: Text, length: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens of a text's span, and those behind it."""
    if length == ANSWER:
        before, middle, after = _parted(asker.border, text)
        return asker.border.cut(before.prompt, middle)[1], asker.border.pieces(after, inside=True)
    found = canvas_of_prompt.following_ids(asker.border, text)
    return found[:length], found[length:]


def _parted(border: Border, text: Text) -> tuple[Text, str, str]:
    """The text before a prompt's marker, the answer that stands there, the text behind it."""
    found = infill.parse(text.prompt, text.id, border.mask_text)
    space = "" if text.answer.startswith(" ") else found.spaces[0]
    before = replace(text, prompt=found.around[0], continuation="")
    return before, space + text.answer, found.around[1]


def sides(
    asker: Asker,
    span: Span,
    length: int,
    others: Sequence[Text],
    amounts: Sequence[str],
    sources: Sequence[str],
    seed: int,
) -> list[Side]:
    """What is shown at the right of a span, nothing first; no more than the text itself has there,
    and than a block of attention has room for.

    Args:
        asker: knows the model.
        span, length: the span, and how long it was to be.
        others: texts of the same task; the first that is long enough is the foreign one.
        amounts: numbers of tokens, or "all" there are.
        sources: "own": the text's own tokens; "foreign": those of another text of its task at the
            same place; "shuffled": its own in another order, drawn anew until it differs.
        seed: of these orders.
    """
    most = len(span.right)
    if asker.entry.block:
        most = min(most, asker.entry.block_rest + 1 - len(span.tokens))
    found = [NOTHING]
    for source in sources:
        for amount in amounts:
            size = len(span.right) if amount == ALL else int(amount)
            if not 0 < size <= most:
                continue
            tokens: tuple[int, ...] | None = span.right[:size]
            if source == "foreign":
                tokens = _foreign(asker, others, length, size)
            elif source == "shuffled":
                tokens = _shuffled(span.right[:size], seed_of(seed, "shuffled", size))
            if tokens is not None:
                found.append(Side(source, amount, tokens))
    return found


def _foreign(
    asker: Asker, others: Sequence[Text], length: int, size: int
) -> tuple[int, ...] | None:
    """So many tokens behind the span of the first text that has them; None where none has."""
    behind = (_following(asker, other, length)[1] for other in others)
    return next((tokens[:size] for tokens in behind if len(tokens) >= size), None)


def _shuffled(tokens: tuple[int, ...], seed: int) -> tuple[int, ...] | None:
    """Tokens in another order; None where there is none."""
    if len(set(tokens)) < 2:
        return None
    rng, found = random.Random(seed), tokens
    while found == tokens:
        found = tuple(rng.sample(tokens, len(tokens)))
    return found


def canvas(asker: Asker, span: Span, side: Side, beyond: Beyond, name: str) -> Canvas:
    """A text with its span as masks.

    Args:
        asker: knows the model.
        span, side: the text around the span, and what is shown at its right.
        beyond: what stands where the text goes on, but isn't shown: nothing, or masks.
        name: the cell's key.
    """
    entry, begin = asker.entry, len(span.left)
    masks = (entry.mask,) * len(span.tokens)
    hidden = (len(span.right) - len(side.tokens)) * (beyond == "masks")
    ids = (*span.left, *masks, *side.tokens, *((entry.mask,) * hidden))
    origin = entry.origin_at(begin)
    end = entry.block_span(begin, origin)[1] if entry.block else len(ids)
    return Canvas(ids[:end], tuple(range(begin, begin + len(masks))), name, origin)


# ---------------------------------------------------------------------- checks


def check_continued(found: Sequence[Text]) -> None:
    """Refuses texts without a continuation.

    Raises:
        ProbeError: naming the first.
    """
    lacking = [text.id for text in found if not text.continuation.strip()]
    if lacking:
        raise ProbeError(
            f"{len(lacking)} prompts have no continuation, such as '{lacking[0]}'",
            expected="text for the span and what stands behind it, as the field 'continuation'",
            hint="or prompts with <mask> in them, their answers, and --span answer",
            option="span",
        )


def check_marked(found: Sequence[Text]) -> None:
    """Refuses prompts that have no single span of masks, or whose answer isn't known.

    Raises:
        ProbeError: naming the first.
    """
    for text in found:
        if len(infill.parse(text.prompt, text.id).masks) > 1:
            raise ProbeError(
                f"prompt '{text.id}' has several spans of masks", expected="one", option="span"
            )
        if not text.answer.strip():
            raise ProbeError(
                f"prompt '{text.id}' has no answer",
                expected="the text that stands in place of its masks, as the field 'answer'",
                option="span",
            )
