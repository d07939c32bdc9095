"""Fillers: what can be appended to a prompt in place of masks, to the same number of tokens."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import toy_language

if TYPE_CHECKING:
    from mdlm_probe.engine.queries import Asker, Query
    from mdlm_probe.models._border import Border
    from mdlm_probe.models._checkpoint import Checkpoint

Side = Literal["right", "left", "both"]
Filler = Literal["mask", "text", "eos", "pad", "dot", "dot-token", "space", "random"]
FILLERS: tuple[Filler, ...] = get_args(Filler)
SPELLED = {"dot": ".", "dot-token": ".", "space": " "}


class Amount(NamedTuple):
    """How much is appended: `number` tokens, per cent of the prompt's tokens, or all that fits."""

    unit: Literal["tokens", "%", "max"]
    number: float

    @property
    def none(self) -> bool:
        """Whether nothing is appended."""
        return self == Amount("tokens", 0)

    def tokens(self, length: int, context: int) -> int:
        """The number of tokens, for a prompt of a length in a context."""
        if self.unit == "max":
            return max(0, context - length)
        return round(self.number / 100 * length) if self.unit == "%" else int(self.number)


def amount(text: str) -> Amount:
    """What --masks says: a count such as 20, a share such as 5%, or "max".

    Raises:
        ProbeError: anything else.
    """
    text = text.strip()
    if text == "max":
        return Amount("max", 0)
    share = text.endswith("%")
    try:
        number = float(text[:-1]) if share else int(text)
    except ValueError:
        number = -1
    if not (0 < number < float("inf") if share else number >= 0):
        raise ProbeError(
            f"--masks has '{text}'",
            expected="0 or more, a share above 0 such as 5%, or max",
            option="masks",
        )
    return Amount("%" if share else "tokens", number)


def behind(masks: str, side: str) -> float:
    """The tokens that are put after a prompt; infinity where that depends on the prompt."""
    if side in ("none", "left"):
        return 0
    told = amount(masks)
    if told.unit != "tokens":
        return math.inf
    return told.number - (told.number // 2 if side == "both" else 0)


def combinations(
    masks: Sequence[str],
    fillers: Sequence[str],
    sides: Sequence[str],
    steps: Sequence[int],
    orders: Sequence[str],
) -> list[tuple[str, str, str, int, str]]:
    """What is appended to every test point; combinations that make the same prompt stand once."""
    found = []
    for filler, side, k, count, order in product(fillers, sides, masks, steps, orders):
        if amount(k).none:
            found.append((k.strip(), "none", "none", 1, "none"))
        elif filler != "mask" or count == 1:  # one mask is committed in one step
            found.append((k.strip(), filler, side, 1, "none"))
        else:
            found.append((k.strip(), filler, side, count, order))
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Tail:
    """What is appended to a prompt.

    Attributes:
        masks: how much, see `amount`; a share is one of the prompt's tokens.
        filler: one of `FILLERS`, or "none".
        side: one of `Side`, or "none".
        closing: the text that closes the answer. Masks leave open what follows the answer; other
            fillers come after this text, as the paper's dots do, and its tokens count.
        seed: see `fill`.
    """

    masks: str
    filler: Any
    side: str
    closing: str
    seed: int


def extend(asker: Asker, query: Query, tail: Tail) -> Query:
    """A query with a filler after its prompt, before it, or half on either side.

    What opens the text stays first; what is put before a chat's prompt comes before its first
    message. The asked position moves along.
    """
    ids, border = query.ids, asker.border
    if tail.filler == "none":
        return query
    count = amount(tail.masks).tokens(len(ids), asker.entry.context)
    before = {"left": count, "both": count // 2}.get(tail.side, 0)
    closing = () if tail.filler == "mask" else border.pieces(tail.closing, inside=True)
    added = fill(border, tail.filler, count, tail.seed)
    at = border.before_turns(ids)
    if tail.filler == "dot":  # cut together with what it follows, as any text is
        after = _dots(border, tail.closing, count - before)
    else:
        after = (*closing, *added[before:])[: count - before]
    ids = (*ids[:at], *added[:before], *ids[at:], *after)
    positions = tuple(place + before for place in query.positions)
    return replace(query, ids=ids, positions=positions, origin=asker.entry.origin_at(positions[0]))


def fill(border: Border, filler: Filler, count: int, seed: int) -> tuple[int, ...]:
    """Token ids of a filler, exactly `count` of them.

    "random" draws tokens of the vocabulary evenly, but for special ones; "text" is the project's
    own prose, cut after `count` tokens. Both depend on the seed; a smaller count gives a prefix.
    "dot" is a long run of dots as the tokenizer writes it, where a token may be many dots; the
    others, "dot-token" among them, are one token again and again.

    Raises:
        ProbeError: the tokenizer has no such token.
    """
    if filler == "random":
        rng, usable = random.Random(seed), border.ordinary
        return tuple(rng.choice(usable) for _ in range(count))
    if filler == "text":
        return _prose(border, -(-count // toy_language.STRETCH) * toy_language.STRETCH, seed)[
            :count
        ]
    if filler == "dot":
        return _dots(border, "", count)
    return (_token(border, filler),) * count


def pad_is_eos(entry: Checkpoint) -> bool:
    """Whether a tokenizer pads with the token that ends a text; False where there is none to ask.

    Args:
        entry: the model's.
    """
    name = f"{entry.name} {entry.source} {entry.revision}"
    if name not in _SAME:
        try:
            border = models.load_border(entry)
        except ProbeError:  # no tokenizer at hand, as for a plan: tokens are only counted
            return False
        _SAME[name] = border.pad is not None and border.pad == _token(border, "eos")
    return _SAME[name]


_SAME: dict[str, bool] = {}
"""Answers of `pad_is_eos` by model: every cell asks."""


def _dots(border: Border, before: str, count: int) -> tuple[int, ...]:
    """The first `count` tokens of a text and a run of dots after it; fewer are their beginning."""
    _token(border, "dot")
    length = toy_language.STRETCH
    while len(ids := border.pieces(before + "." * length, inside=True)) < count:
        length *= 2
    return ids[:count]


@lru_cache(maxsize=256)
def _prose(border: Border, count: int, seed: int) -> tuple[int, ...]:
    """At least `count` tokens of prose; a longer text begins the same."""
    return border.pieces("".join(toy_language.sentences(count, seed)), inside=True)


def _token(border: Border, filler: Filler) -> int:
    entry = border.entry
    if filler == "mask" and entry.mask_id is not None:
        return entry.mask_id
    if filler == "eos" and entry.eos_ids:
        return entry.eos_ids[0]
    if filler == "pad" and border.pad is not None:
        return border.pad
    if filler in SPELLED:
        try:
            return border.token(SPELLED[filler], inside=True)
        except ProbeError as error:
            raise _lacks(border, filler, f": {error.found}") from None
    raise _lacks(border, filler)


def _lacks(border: Border, filler: Filler, why: str = "") -> ProbeError:
    return ProbeError(
        f"--filler {filler}: the tokenizer of '{border.entry.name}' has no such token{why}",
        expected="one of " + ", ".join(name for name in FILLERS if name != filler),
        option="filler",
    )
