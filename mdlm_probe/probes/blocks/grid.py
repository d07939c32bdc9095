"""Which combinations of length, block, steps and order the blocks probe asks: those that differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import schedule as schedules
from mdlm_probe.decoding.rules import RULES, Order
from mdlm_probe.decoding.schedule import Schedule


class Combination(NamedTuple):
    """How a canvas is filled in; names and order as in the probe's cells."""

    length: int
    block: int
    steps: int
    order: Order

    @property
    def fits(self) -> bool:
        """Whether the blocks are whole and have a step each, and the steps a mask each."""
        whole = self.length % self.block == 0
        return whole and self.length // self.block <= self.steps <= self.length

    def amounts(self) -> list[int]:
        """Masks that each step commits, where the order is known beforehand."""
        schedule = Schedule(self.steps, self.block)
        shared = zip(schedule.blocks(self.length), schedule.block_steps(self.length), strict=True)
        return [n for block, steps in shared for n in schedules.amounts(len(block), steps)]


def combinations(
    lengths: Sequence[int],
    blocks: Sequence[int],
    steps: Sequence[int],
    orders: Sequence[Order],
    cached: bool,
) -> list[Combination]:
    """The combinations of some lists that are possible, without those that can't differ.

    Where every block is one step there is no order to choose: these stand as left_to_right. That
    order knows no blocks where no keys and values are kept: it stands under the smallest of the
    blocks that share the steps out alike. What takes as many steps as it needs ("threshold",
    "factor", "entropy_bounded") stands under as many as there are masks. More steps than masks
    commit nothing in the others: a canvas is asked in as many at most.

    Args:
        lengths, orders: one or more.
        blocks: none: powers of 2 that divide the length, and the length.
        steps: none: the length, its half, its quarter.
        cached: whether keys and values are kept.

    Raises:
        ProbeError: a value of a list with which no combination is possible.
    """
    steps = () if all(RULES[order].free for order in orders) else steps
    wanted = [
        Combination(length, block, count, orders[0])
        for length in lengths
        for count in steps or dict.fromkeys(max(1, length // part) for part in (1, 2, 4))
        for block in sorted(blocks) or _octaves(length)
    ]
    for name, values in (("length", lengths), ("block", blocks), ("steps", steps)):
        for value in values:
            own = [one for one in wanted if getattr(one, name) == value]
            if not any(one.fits for one in own):
                _refuse(own[0])
    possible = [one for one in wanted if one.fits]
    return list(dict.fromkeys(_differing(possible, orders, cached)))


def _refuse(one: Combination) -> None:
    schedules.check(one.length, Schedule(one.steps, one.block))
    raise ProbeError(
        f"--steps {one.steps} are more than the masks of --length {one.length}",
        expected="a mask for each step, or more: the others would commit nothing",
        option=("steps", "length"),
    )


def _octaves(length: int) -> list[int]:
    powers = (2**power for power in range(length.bit_length()))
    return [size for size in powers if size < length and length % size == 0] + [length]


def _differing(
    possible: Sequence[Combination], orders: Sequence[Order], cached: bool
) -> Iterator[Combination]:
    """Each possible combination in each order, under the name it is asked by; some repeat."""
    last: dict[tuple[int, int], list[int]] = {}
    for one in possible:
        for order in orders:
            named = one._replace(order=order)
            if RULES[order].free:
                named = named._replace(steps=one.length)
            if named.steps * named.block == named.length:
                named = named._replace(order="left_to_right")
            if named.order == "left_to_right" and not cached:
                at, amounts = (named.length, named.steps), named.amounts()
                if last.get(at) == amounts:
                    continue
                last[at] = amounts
            yield named
