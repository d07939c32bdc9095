"""Targets: the tail of an answer in its place, moved by one, and with one other token. No torch.

The slots of a tail of n tokens are n + 1 places behind the answer's beginning, so that it can be
moved to the right without losing its last token. All of this is ours: arXiv 2601.22947 says that
position-wise supervision punishes small displacements, and publishes no measure of it.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

Target = Literal["unmoved", "right", "left", "inserted", "replaced"]
Shown = Literal["none", "moved", "unmoved"]
"""What is visible of the tail among its masks: nothing, the target's own text, or the unmoved one:
then only labels are moved."""
TARGETS: tuple[Target, ...] = get_args(Target)
LEAST = 2
"""Tokens of the shortest tail that has a token to be moved in every direction."""


class Slot(NamedTuple):
    """What a target says of a slot.

    Attributes:
        number: of its token in the tail, from 1; 0: a token that is not the tail's; None: nothing.
        token: None where nothing stands: such a slot is no loss's concern.
    """

    number: int | None = None
    token: int | None = None


GAP = Slot()


@dataclass(frozen=True)
class Tail:
    """The end of an answer.

    Attributes:
        begin: the prompt and the answer's beginning.
        tokens: behind it; at least `LEAST`.
    """

    begin: tuple[int, ...]
    tokens: tuple[int, ...]

    @property
    def other(self) -> int:
        """The token that is inserted, or replaces the first: the one before, once more."""
        return self.begin[-1]

    def slots(self, target: Target) -> tuple[Slot, ...]:
        """A target, slot by slot; one more than the tail has tokens."""
        own = [Slot(number, token) for number, token in enumerate(self.tokens, 1)]
        one = Slot(0, self.other)
        laid: dict[Target, list[Slot]] = {
            "unmoved": [*own, GAP],
            "right": [GAP, *own],
            "left": [*own[1:], GAP, GAP],
            "inserted": [one, *own],
            "replaced": [one, *own[1:], GAP],
        }
        return tuple(laid[target])


@dataclass(frozen=True)
class Canvas:
    """A target's canvas, and the labels of its masks.

    Attributes:
        ids: the whole text, with masks.
        places: positions of the masks that a loss may read, ascending.
        labels: what the target says of each of these.
        numbers: of the row that each is told in: the token's, or the slot's where only labels are
            moved.
        equal: whether each label is what stands there in the unmoved text.
    """

    ids: tuple[int, ...]
    places: tuple[int, ...]
    labels: tuple[Slot, ...]
    numbers: tuple[int | None, ...]
    equal: tuple[bool, ...]


def hidden(tokens: int, share: float, seed: int) -> frozenset[int]:
    """The numbers of a tail's tokens that are masked: a share of them, one at least."""
    count = max(1, round(share * tokens))
    return frozenset(random.Random(seed).sample(range(1, tokens + 1), count))


def canvas(tail: Tail, target: Target, masked: Collection[int], shown: Shown, mask: int) -> Canvas:
    """The canvas of a target.

    A slot in which nothing stands is a mask. An inserted or replacing token is visible where the
    tail's first one is.

    Args:
        tail: whose target.
        target: what its masks are to become.
        masked: numbers of the tail's tokens that are masked.
        shown: whose tokens stand where no mask is.
        mask: the mask's id.
    """
    labels, unmoved = tail.slots(target), tail.slots("unmoved")
    visible = unmoved if shown == "unmoved" else labels
    is_mask = [slot.token is None or (slot.number or 1) in masked for slot in visible]
    both = zip(visible, is_mask, strict=True)
    ids = [mask if hides or slot.token is None else slot.token for slot, hides in both]
    slots = [number for number, hides in enumerate(is_mask) if hides]
    own = [labels[slot] for slot in slots]
    aligned = shown == "unmoved"
    return Canvas(
        (*tail.begin, *ids),
        tuple(len(tail.begin) + slot for slot in slots),
        tuple(own),
        tuple(slot + 1 if aligned else labels[slot].number for slot in slots),
        tuple(labels[slot].token == unmoved[slot].token for slot in slots),
    )


def settings(shares: Sequence[float]) -> Iterator[tuple[float, Shown]]:
    """Every share of masks with what is visible among them."""
    for share in shares:
        if share == 1:
            yield share, "none"
        else:
            yield share, "moved"
            yield share, "unmoved"
