"""Interventions between choice and commit: tokens moved by a place, replaced, or held back.

Source of the question: arXiv 2601.22947 (1 % of the generated tokens displaced by one position).
How it is done is ours: each token about to be committed is hit with probability `frac`; a hit token
is written one place to the right or left of where it was predicted (a fair coin), if that place of
the canvas is still a mask and no other token is committed there in the same step; the place it left
stays a mask and is filled in later. Controls at the same rate: `replace` writes a token drawn from
the same distribution without its most probable one, `hold` leaves the mask for this step, once.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal, NamedTuple

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.decoding.canvas import Step
from mdlm_probe.engine.queries import Readout

Kind = Literal["shift", "replace", "hold"]


class Hit(NamedTuple):
    """A token that was to be changed. Masks are named by their number in the window.

    Attributes:
        step: of the loop, from 1.
        mask: where the token was predicted.
        token: that was predicted.
        written: the token written in its stead (replace), or the same one (shift); None if held.
        to: where it was written; `mask` itself where no place was free.
    """

    step: int
    mask: int
    token: int
    written: int | None
    to: int

    @property
    def done(self) -> bool:
        """Whether anything was changed."""
        return self.to != self.mask or self.written != self.token


class Intervene:
    """An intervention of a kind on a fraction of the committed tokens.

    Coins depend on the seed, the step and the mask alone: a larger fraction hits what a smaller one
    hits, as long as both canvases are the same.

    Attributes:
        hits: the tokens hit so far, those that could not be moved among them.
        offered: tokens that were about to be committed, each mask that was held once.
    """

    def __init__(self, kind: Kind, frac: float, seed: int, never: tuple[int, ...] = ()) -> None:
        self.kind, self.frac, self.seed, self.never = kind, frac, seed, never
        self.hits: list[Hit] = []
        self.offered = 0
        self._held: set[int] = set()

    def readouts(self, number: int, asked: Sequence[int]) -> tuple[Readout, ...]:
        """Other tokens, where one may be needed in this step."""
        if self.kind != "replace" or not any(self._is_hit(number, mask) for mask in asked):
            return ()
        return (Readout("other", (seed_of(self.seed, "other", number), self.never)),)

    def write(self, step: Step) -> dict[int, int]:
        """What is written instead of a step's chosen tokens."""
        self.offered += len(step.chosen.keys() - self._held)
        written: dict[int, int] = {}
        free = step.masked - step.chosen.keys()
        for mask, token in step.chosen.items():
            hit = Hit(step.number, mask, token, token, mask)
            if self._is_hit(step.number, mask):
                hit = self._change(hit, step, free - written.keys())
                self.hits.append(hit)
            if hit.written is not None:
                written[hit.to] = hit.written
        return written

    def _change(self, hit: Hit, step: Step, free: frozenset[int]) -> Hit:
        if self.kind == "replace":
            return hit._replace(written=int(step.answer["other"][step.at(hit.mask)]))
        if self.kind == "hold":
            self._held.add(hit.mask)
            return hit._replace(written=None)
        right = random.Random(seed_of(self.seed, "side", hit.step, hit.mask)).random() < 0.5
        to = hit.mask + (1 if right else -1)
        return hit._replace(to=to) if to in free else hit

    def _is_hit(self, number: int, mask: int) -> bool:
        if mask in self._held:
            return False
        return random.Random(seed_of(self.seed, "hit", number, mask)).random() < self.frac


def exchanged(tokens: Sequence[int], hits: Sequence[Hit]) -> tuple[int, ...]:
    """Tokens after decoding has ended, moved as in some hits: same places, same directions.

    Each token changes places with its neighbour, one hit after another: nothing is left to fill in.
    """
    found = list(tokens)
    for hit in hits:
        found[hit.mask], found[hit.to] = found[hit.to], found[hit.mask]
    return tuple(found)
