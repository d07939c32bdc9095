"""Canvases of prompts: visible text with masks after it or within it, and what continues it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from mdlm_probe.core.errors import ProbeError, TooLong
from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.engine.batches import beyond
from mdlm_probe.prompts.prompt import MASK, Text
from mdlm_probe.prompts.texts import Context

if TYPE_CHECKING:
    from mdlm_probe.engine.queries import Asker
    from mdlm_probe.models._border import Border


@dataclass(frozen=True)
class Span:
    """A text with a span of masks, or with as many tokens to come (causal models).

    Attributes:
        ids: the tokens that a model is given.
        places: positions of the masks; none in a causal model.
        own: ids of the text itself, each once: no masks, nothing that a template adds.
    """

    ids: tuple[int, ...]
    places: tuple[int, ...]
    own: tuple[int, ...]


def in_tokens(asker: Asker, text: Text) -> Text:
    """A text whose prompt ends where a token does, as the model's tokenizer cuts it with its
    continuation.

    A prompt that ends amid a token is followed by nothing that the model was ever trained on: code
    up to `):`, say, where `):` and the line break behind are one token. The least that does goes
    from the continuation to the prompt (ours). A chat's message ends where it does.
    """
    if asker.entry.chat or not text.continuation:
        return text
    return _in_tokens(asker.border, text)


@lru_cache(maxsize=1024)
def _in_tokens(border: Border, text: Text) -> Text:
    follows = text.continuation
    whole = border.pieces(text.prompt + follows)
    for end in range(len(follows) + 1):
        prompt = text.prompt + follows[:end]
        ids = border.pieces(prompt)
        if whole[: len(ids)] == ids:
            return replace(text, prompt=prompt, continuation=follows[end:])
    raise AssertionError("a text does not begin with itself")


def span(asker: Asker, text: Text, masks: int, context: Context) -> Span:
    """A prompt with masks after it, and with its continuation behind them where both sides stay.

    A chat model reads the prompt as a user's message; the masks begin its answer. Other prompts end
    where a token does, see `in_tokens`.

    Raises:
        ProbeError: naming the prompt, where it has no tokens, spells a mask, or is too long.
    """
    entry, border, text = asker.entry, asker.border, in_tokens(asker, text)
    follows = text.continuation if context == "both" else ""
    own = dict.fromkeys((*border.pieces(text.prompt), *border.pieces(follows, inside=True)))
    if not own:
        raise ProbeError(
            f"prompt '{text.id}' has no visible token for {entry.name}",
            expected="a prompt with something to read in it",
        )
    canvas = "" if entry.kind == "causal" else MASK * masks
    ids = border.encode(text.asked(canvas + follows))
    places = tuple(i for i, token in enumerate(ids) if canvas and token == entry.mask_id)
    if canvas and len(places) != masks:
        raise ProbeError(
            f"prompt '{text.id}' spells the mask token of {entry.name}",
            expected="a text without it",
        )
    visible, length = len(ids) - len(places), len(ids) - len(places) + masks
    if length > entry.context:
        raise TooLong(
            f"prompt '{text.id}' has {visible} tokens: with {masks} masks it has {length}",
            expected=f"at most {entry.context}, the context of '{entry.name}'",
            hint=f"{entry.context - visible} masks would fit"
            if visible < entry.context
            else "leave this prompt out",
            reason=beyond(entry),
        )
    return Span(ids, places, tuple(own))


@lru_cache(maxsize=1024)
def following_ids(border: Border, text: Text) -> tuple[int, ...]:
    """The token ids of a text's own continuation, after its prompt as `in_tokens` cuts it."""
    if border.entry.chat:
        return border.pieces(text.continuation, inside=True)
    text = _in_tokens(border, text) if text.continuation else text
    return border.cut(text.prompt, text.continuation)[1]


def continuation_ids(asker: Asker, text: Text, length: int) -> tuple[int, ...]:
    """The first token ids of a text's own continuation, at most `length`.

    Raises:
        ProbeError: it has fewer than two: no order, and no pair.
    """
    found = following_ids(asker.border, text)
    if len(found) < 2:
        raise ProbeError(
            f"the continuation of prompt '{text.id}' has {len(found)} token(s)",
            expected="2 or more",
            hint="--measure sets,budget needs no continuation",
        )
    return tuple(found[:length])


def appended(asker: Asker, text: Text, masks: int, name: str) -> Canvas:
    """A prompt with masks after it, the first of which begins a block: see `span`.

    Raises:
        ProbeError: more than the context holds.
    """
    found = span(asker, text, masks, "left")
    return Canvas(found.ids, found.places, name, asker.entry.origin_at(found.places[0]))
