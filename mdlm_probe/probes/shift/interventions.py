"""Interventions between choice and commit: tokens moved by a place, replaced, or held back.

Source of the question: arXiv 2601.22947 (1 % of the generated tokens displaced by one position).
How it is done is ours: a fraction `frac` of the places is hit, drawn beforehand, and the token
about to be committed there is written one place to the right or left, whichever is a mask that no
other token is committed to in the same step, by a fair coin where both are. The place it left stays
a mask and is filled in later. A token between two written places can't be moved: where one is hit,
the next token that can be is moved in its stead, from the moment both its sides are taken. Else a
third of the moves would be lost in a random order. What can't be made up for: hits among the last
tokens of a canvas, and more hits than there are tokens with a free side (steps that commit several
neighbours at once, left to right: the last of them alone has one). Controls at the same rate:
`replace` writes a token drawn from the same distribution without its most probable one, `hold`
leaves the mask for this step, once.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal, NamedTuple

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.decoding.canvas import Step
from mdlm_probe.engine.queries import Readout

Kind = Literal["shift", "replace", "hold"]


class Change(NamedTuple):
    """What was done to a token. Masks are named by their number in the window.

    Attributes:
        step: of the loop, from 1.
        mask: where the token was predicted.
        token: that was predicted.
        written: the token written in its stead (replace), or the same one (shift); None if held.
        to: where it was written.
    """

    step: int
    mask: int
    token: int
    written: int | None
    to: int

    @property
    def done(self) -> bool:
        """Whether anything was changed: not where the other token is the one that was drawn."""
        return self.to != self.mask or self.written != self.token


class Intervene:
    """An intervention of a kind on a fraction of the committed tokens.

    Which places are hit depends on seed and canvas alone: a larger fraction hits what a smaller one
    hits, whatever the kind and the order. Of `places` as many as the fraction says, rounded up or
    down at random, so that each place is hit with probability `frac`.

    Args:
        kind, frac: see above.
        seed: of the places that are hit, sides, and other tokens.
        places: of the window.
        never: tokens that are never written in place of another.

    Attributes:
        changes: what was done so far, in order.
        hits: places that were to be changed so far.
        late: of the moves, those of a token that stands in for another.
        offered: tokens that were about to be committed, each mask that was held once.
    """

    def __init__(
        self, kind: Kind, frac: float, seed: int, places: int, never: tuple[int, ...] = ()
    ) -> None:
        self.kind, self.seed, self.never = kind, seed, never
        self._hit = _drawn(frac, seed, places)
        self.changes: list[Change] = []
        self.hits = self.late = self.offered = 0
        self._held: set[int] = set()
        self._known: set[int] = set()

    def readouts(self, number: int, asked: Sequence[int]) -> tuple[Readout, ...]:
        """Other tokens, where one may be needed in this step."""
        if self.kind != "replace" or self._hit.isdisjoint(asked):
            return ()
        return (Readout("other", (seed_of(self.seed, "other", number), self.never)),)

    def write(self, step: Step) -> dict[int, int]:
        """What is written instead of a step's chosen tokens."""
        self.offered += len(step.chosen.keys() - self._held)
        written: dict[int, int] = {}
        free = step.masked - step.chosen.keys()
        if self.kind == "shift":  # what is enclosed won't move: others stand in, from now on
            masked = step.masked
            for mask in masked:
                if mask - 1 not in masked and mask + 1 not in masked:
                    self._counted(mask)
        for mask, token in step.chosen.items():
            change = self._change(Change(step.number, mask, token, token, mask), step, free)
            if change.written is not None:
                written[change.to] = change.written
            free -= {change.to}
        return written

    def _change(self, change: Change, step: Step, free: frozenset[int]) -> Change:
        """What is done to a token; itself where nothing is."""
        hit = self._counted(change.mask)
        if self.kind == "shift":
            return self._moved(change, hit, free)
        if not hit:
            return change
        if self.kind == "hold":
            self._held.add(change.mask)
            change = change._replace(written=None)
        else:
            change = change._replace(written=int(step.answer["other"][step.at(change.mask)]))
        self.changes.append(change)
        return change

    def _moved(self, change: Change, hit: bool, free: frozenset[int]) -> Change:
        """A token one place off, if one is to be moved and it can be."""
        sides = [to for to in (change.mask - 1, change.mask + 1) if to in free]
        if not sides or self.hits == len(self.changes):
            return change
        coin = random.Random(seed_of(self.seed, "side", change.step, change.mask)).random()
        change = change._replace(to=sides[int(coin * len(sides))])
        self.late += not hit
        self.changes.append(change)
        self._counted(change.to)
        return change

    def _counted(self, mask: int) -> bool:
        """Whether a place is hit; each counts once."""
        hit = mask in self._hit and mask not in self._known
        self._known.add(mask)
        self.hits += hit
        return hit


def _drawn(frac: float, seed: int, places: int) -> frozenset[int]:
    """The places that are hit: the first ones of a random order."""
    rng = random.Random(seed_of(seed, "hit"))
    order = rng.sample(range(places), places)
    return frozenset(order[: int(frac * places + rng.random())])


def displaced(tokens: Sequence[int], changes: Sequence[Change]) -> tuple[int, ...]:
    """Tokens after decoding has ended, moved as in some changes: same places, same directions.

    Each token is written into its neighbour's place, and the neighbour is out: as many tokens as
    those moves displaced, in the same places. All others stay as they are, as if no later step had
    taken notice; so the moved token stands in its own place, too.
    """
    found = list(tokens)
    for change in changes:
        found[change.to] = tokens[change.mask]
    return tuple(found)
