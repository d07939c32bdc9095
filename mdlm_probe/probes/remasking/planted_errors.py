"""Errors that are planted in texts: which token is replaced, and by what.

No model has a say in them: all are asked about the same errors, but for how texts are cut into
tokens.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.prompts import texts

if TYPE_CHECKING:
    from mdlm_probe.models._border import Border

Error = Literal["unigram", "bigram"]
NO_ERROR = "none"
"""The text as it is."""


class PlantedError(NamedTuple):
    """A token to be replaced.

    Attributes:
        place: its number in the text, from 0.
        token: what then stands there.
    """

    place: int
    token: int


class Counts(NamedTuple):
    """How often each token stands in the prompts' texts, and after each other token."""

    tokens: Counter[int]
    after: dict[int, Counter[int]]


@lru_cache(maxsize=8)
def counted(border: Border, prompts: str, lexicon: str) -> Counts:
    """The counts of all texts of a file of prompts, with their continuations."""
    tokens: Counter[int] = Counter()
    after: dict[int, Counter[int]] = {}
    for text in texts.load(prompts, lexicon):
        ids = border.pieces(text.prompt + text.continuation)
        tokens.update(ids)
        for one, following in pairwise(ids):
            after.setdefault(one, Counter())[following] += 1
    return Counts(tokens, after)


def planted(
    counts: Counts,
    before: int,
    tokens: Sequence[int],
    kind: str,
    number: int,
    name: tuple[str, ...],
) -> PlantedError | None:
    """The error of a number in a text; None where the text has fewer places for one.

    Places are those at which both kinds can stand, in a random order, so that kinds are compared at
    the same ones. The token is drawn as often as it stands in the prompts' texts: anywhere
    ("unigram"), or after the token before it ("bigram"), but never the text's own.

    Args:
        counts: of the prompts' texts.
        before: the token before the text.
        tokens: of the text.
        kind: one of `Error`.
        number: of the error, from 1.
        name: the text's, with the seed: what is drawn depends on these alone.
    """
    pairs = list(pairwise((before, *tokens)))
    places = [i for i, (one, own) in enumerate(pairs) if set(counts.after.get(one, ())) - {own}]
    order = random.Random(seed_of("places", *name)).sample(places, len(places))
    if number > len(order):
        return None
    place = order[number - 1]
    one, own = pairs[place]
    known = counts.after[one] if kind == get_args(Error)[1] else counts.tokens
    others = {token: count for token, count in sorted(known.items()) if token != own}
    drawn = random.Random(seed_of("token", kind, number, *name))
    (token,) = drawn.choices(list(others), weights=list(others.values()))
    return PlantedError(place, token)
