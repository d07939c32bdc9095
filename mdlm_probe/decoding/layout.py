"""Layouts: the blocks of a canvas in their order, and what a model is fed while one is filled in.

Under bidirectional attention a model is fed the whole canvas. Under block-causal attention it sees
nothing behind its own block, and masks of later blocks aren't fed; a prompt's tail shares a block
with the first masks where blocks begin at position 0. No torch.
"""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.decoding.rules import LastBlock
from mdlm_probe.decoding.schedule import Schedule, amounts
from mdlm_probe.models._checkpoint import Checkpoint


class BlockPlan(NamedTuple):
    """A block of masks that is filled in before the next one.

    Attributes:
        masks: numbers in the window.
        steps: that the block has.
        quota: masks that these steps share out: those of a whole block.
        begin, end: positions of the attention block that it lies in: nothing from `end` on is fed.
            Of bidirectional attention, of the whole canvas.
    """

    masks: range
    steps: int
    quota: int
    begin: int
    end: int


def layout(canvas: Canvas, schedule: Schedule, entry: Checkpoint) -> list[BlockPlan]:
    """The blocks of a canvas, left to right.

    Block-causal models have sub-blocks of `schedule.block` masks within their own blocks, counted
    from where these begin; 0: none. Steps are shared out among as many blocks as the masks asked
    for would make: where the prompt's tail or whole last blocks add one, it has as many as the last
    of these.
    """
    size = len(canvas.places)
    if not entry.block:
        each = zip(schedule.blocks(size), schedule.block_steps(size), strict=True)
        return [BlockPlan(own, n, len(own), 0, len(canvas.ids)) for own, n in each]
    if not size:
        return []
    own = min(schedule.block or entry.block, entry.block)

    def block_of(mask: int) -> int:
        return (canvas.places[mask] - canvas.origin) // own

    steps = amounts(schedule.steps, -(-(size - canvas.extra) // own))
    found = []
    for number, (_, group) in enumerate(groupby(range(size), block_of)):
        masks = list(group)
        begin, end = entry.block_span(canvas.places[masks[0]], canvas.origin)
        share = max(1, steps[min(number, len(steps) - 1)])
        numbers = range(masks[0], masks[-1] + 1)
        found.append(BlockPlan(numbers, share, own, begin, min(end, len(canvas.ids))))
    return found


def laid_out(
    ids: tuple[int, ...],
    places: tuple[int, ...],
    entry: Checkpoint,
    name: str,
    last_block: LastBlock = "whole",
) -> Canvas:
    """The canvas of a prompt and the masks after it, with blocks where the model has them.

    Args:
        ids, places: a prompt and its window of masks, in which it ends.
        entry: the model's.
        name: the canvas's.
        last_block: "whole": a block-causal model's last block has masks up to its end, as far as
            the model reads; "cut": none are added.
    """
    origin = entry.origin_after(places[0])
    if not entry.block or last_block == "cut":
        return Canvas(ids, places, name, origin)
    _, end = entry.block_span(places[-1], origin)
    extra = max(0, min(end, entry.context) - len(ids))
    more = tuple(range(len(ids), len(ids) + extra))
    return Canvas(ids + (entry.mask,) * extra, places + more, name, origin, extra)
