"""Which cells of a plan have room: known from the tokenizer, before any weights are loaded."""

from __future__ import annotations

import math
import random
from array import array
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from mdlm_probe.core.cell_ranges import ChosenCells
from mdlm_probe.core.cells import key
from mdlm_probe.core.columns import coordinates
from mdlm_probe.core.errors import TooLong
from mdlm_probe.engine.dry_run import DryRun, FirstAsked

if TYPE_CHECKING:
    from mdlm_probe.models._border import Border
    from mdlm_probe.runs.plan import Plan

NEAR = 0.9
"""Share of the context from which on every cell is looked at: prompts of a set differ in length."""
AT_ONCE = 64
"""Cells that are looked at together."""


class Fitting(NamedTuple):
    """A plan whose cells have room.

    Attributes:
        plan: the plan; cells that are too long are counted among its refused ones.
        looked: the share of cells that were looked at: below 1, the plan has only those of them.
    """

    plan: Plan
    looked: float


def fit(plan: Plan, border: Border, most: int = 0) -> Fitting:
    """Leaves out the cells that need more tokens than there is room for.

    Args:
        plan: what is to be measured.
        border: the model's tokenizer.
        most: cells to look at, drawn at random, where they are more, and only where cells along
            each axis of the plan say that some may be too long; 0: all, where any of the extremes
            does.

    Raises:
        ProbeError: whatever else can't be asked, and too long a cell where no other is left.
    """
    largest = _longest(plan, border) if most else _longest_of_all(plan, border)
    if largest <= NEAR * border.entry.context:
        return Fitting(plan, 1.0)
    number = len(plan.cells)
    looked: Sequence[int] = range(number)
    if most and number > most:
        looked = sorted(random.Random(0).sample(looked, most))
    kept, reasons, fault = array("q"), Counter[str](), None
    for start in range(0, len(looked), AT_ONCE):
        cells = {place: plan.cells[place] for place in looked[start : start + AT_ONCE]}
        found, _ = _too_long(plan, border, list(cells.values()))
        kept.extend(place for place, cell in cells.items() if cell not in found)
        reasons.update(error.reason for error in found.values())
        fault = fault or next(iter(found.values()), None)
    if not kept and fault:
        raise fault
    fitting = replace(plan, cells=ChosenCells(plan.cells, kept), refused=plan.refused | reasons)
    return Fitting(fitting, len(looked) / number)


def measure(plan: Plan, dry_run: DryRun, cells: Sequence[Any]) -> None:
    """Measures some cells on a dry run, up to the first one's rows: by then all is asked."""
    with suppress(FirstAsked):
        next(plan.probe.measure(dry_run, cells), None)


def _longest(plan: Plan, border: Border) -> float:
    """The most tokens of a sequence, by the cells along each axis of the plan."""
    # what causal models continue grows as they do
    first_only = border.entry.kind == "masked"
    dry_run = DryRun(border.entry, border, sharing=False, lenient=True, first_only=first_only)

    def sizes(cells: list[Any]) -> list[int]:
        for start in range(0, len(cells), AT_ONCE):
            measure(plan, dry_run, cells[start : start + AT_ONCE])
        return [dry_run.sizes.get(key(cell), 0) for cell in cells]

    try:
        return max(plan.cells.longest(_texts(plan), sizes), dry_run.longest)
    except TooLong:  # some prompts are refused before they are asked
        return math.inf


def _longest_of_all(plan: Plan, border: Border) -> float:
    """The same by the extremes of every combination of texts."""
    too_long, longest = _looked_through(plan, border, extremes(plan))
    return math.inf if too_long else longest


def _texts(plan: Plan) -> list[str]:
    """Coordinates that are texts."""
    return [column.name for column in coordinates(plan.probe.Cell) if column.type is str]


def extremes(plan: Plan) -> list[Any]:
    """Of every combination of texts, the cells with the largest and least of each number.

    If these can be asked, all can, within a few tokens between items.
    """
    texts = _texts(plan)
    numbers = [c.name for c in coordinates(plan.probe.Cell) if c.name not in texts]
    found: dict[Any, dict[tuple[str, int], Any]] = {}
    for cell in plan.cells.corners(texts):
        ends = found.setdefault(tuple(getattr(cell, name) for name in texts), {})
        for name in numbers:
            value = getattr(cell, name)
            if (name, 1) not in ends or value > getattr(ends[name, 1], name):
                ends[name, 1] = cell
            if (name, 0) not in ends or value < getattr(ends[name, 0], name):
                ends[name, 0] = cell
    return list(dict.fromkeys(cell for ends in found.values() for cell in ends.values()))


Found = tuple[dict[Any, TooLong], int]
"""Cells that are too long, and the tokens of the longest sequence that was counted."""


def _looked_through(plan: Plan, border: Border, cells: Sequence[Any]) -> Found:
    parts = [cells[start : start + AT_ONCE] for start in range(0, len(cells), AT_ONCE)]
    return _together([_too_long(plan, border, part) for part in parts])


def _together(parts: Sequence[Found]) -> Found:
    found = {cell: error for part, _ in parts for cell, error in part.items()}
    return found, max((longest for _, longest in parts), default=0)


def _too_long(plan: Plan, border: Border, cells: Sequence[Any]) -> Found:
    dry_run = DryRun(border.entry, border, sharing=False, lenient=True)
    try:
        measure(plan, dry_run, cells)
    except TooLong as error:  # some prompts are refused before they are asked
        if len(cells) == 1:
            return {cells[0]: error}, 0
        half = len(cells) // 2
        return _together([_too_long(plan, border, part) for part in (cells[:half], cells[half:])])
    own, noted = {key(cell): cell for cell in cells}, dry_run.too_long
    for name in noted.keys() - own.keys():  # what several cells need
        raise noted[name]
    found = {own[name]: noted[name] for name in noted}, dry_run.longest
    if not noted:
        return found
    # of cells that ask for the same sequence only the first was noted
    return _together([found, _too_long(plan, border, [c for c in cells if c not in found[0]])])
