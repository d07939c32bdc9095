"""Ranges of cells against the same cells in a list."""

from collections import Counter
from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdlm_probe.core.cell_ranges import Cells, ChosenCells, cells_of, listed


@dataclass(frozen=True, slots=True)
class Cell:
    suite: str
    name: str
    size: int
    side: str
    item: int
    share: float = 0.5

    def total(self) -> int:
        return self.size + self.item


NAMES = st.lists(st.sampled_from(["a", "b", "c"]), max_size=3, unique=True)
NUMBERS = st.lists(st.integers(-3, 3), max_size=4, unique=True)
TAILS = st.lists(st.tuples(st.sampled_from("lr"), st.integers(0, 3)), max_size=4, unique=True)
ITEMS = st.integers(0, 4)
PLANS = st.lists(st.tuples(NAMES, NUMBERS, TAILS, ITEMS), max_size=3)


def both(plans):
    """The same cells as ranges, and as a list that loops make."""
    ranges, cells = Cells[Cell](), []
    for names, sizes, tails, _ in plans:
        ranges += cells_of(
            Cell, ("name", names), ("size", sizes), (("side", "item"), tails), suite="s"
        )
        cells += [Cell("s", n, k, *tail) for n, k, tail in product(names, sizes, tails)]
    for names, sizes, _, items in plans:
        ranges += cells_of(
            *(Cell, ("size", sizes), ("item", range(items)), ("name", names)),
            side="l",
            suite="s",
            share=0.25,
        )
        cells += [Cell("s", n, k, "l", i, 0.25) for k, i, n in product(sizes, range(items), names)]
    return ranges, cells


@given(PLANS, st.integers(-60, 60), st.integers(-60, 60), st.sampled_from([None, 1, 2, 7, -1, -3]))
def test_ranges_are_the_list_that_loops_make(plans, start, stop, step):
    ranges, cells = both(plans)
    assert len(ranges) == len(cells)
    assert ranges == cells == list(ranges)
    assert ranges[start:stop:step] == cells[start:stop:step]
    for place in (0, start, len(cells) - 1, -len(cells)):
        if -len(cells) <= place < len(cells):
            assert ranges[place] == cells[place]
        else:
            with pytest.raises(IndexError):
                ranges[place]
    for name in ("name", "size", "item", "share"):
        assert ranges.counted(name) == Counter(getattr(cell, name) for cell in cells)
    assert list(ranges.counted("name")) == list(dict.fromkeys(cell.name for cell in cells))


REASONS = {
    "of one axis": lambda cell: "small" if cell.size < 0 else "",
    "of two axes": lambda cell: f"{cell.side}{cell.name}" if cell.name > "a" < cell.side else "",
    "of the second only where the first is so": lambda cell: (
        "b" if cell.name == "b" and cell.item > 1 else ""
    ),
    "of all cells": lambda cell: "never",
    "of a part's own": lambda cell: "quarter" if cell.share == 0.25 else "",
    "of a method": lambda cell: "odd" if cell.total() % 2 else "",
    "of none": lambda cell: "",
}


@pytest.mark.slow
@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)
@given(PLANS)
def test_cells_are_left_out_as_if_each_was_asked(reason, plans):
    ranges, cells = both(plans)
    left, refused = ranges.without(reason)
    assert left == [cell for cell in cells if not reason(cell)]
    assert refused == Counter(why for cell in cells if (why := reason(cell)))


def test_a_reason_is_asked_once_for_all_that_it_does_not_read():
    asked = []

    def reason(cell):
        asked.append(cell.size)
        return "large" if cell.size > 1 else ""

    cells = cells_of(
        *(Cell, ("name", "abc"), ("size", (0, 1, 2)), ("item", range(10**6))), suite="s", side="l"
    )
    left, refused = cells.without(reason)
    assert (len(left), refused) == (6 * 10**6, {"large": 3 * 10**6})
    assert left[-1] == Cell("s", "c", 1, "l", 10**6 - 1)
    assert len(asked) <= 4


@given(PLANS)
def test_corners_hold_the_first_extremes_of_every_combination(plans):
    ranges, cells = both(plans)
    corners = list(ranges.corners(("suite", "name", "side")))
    assert set(corners) <= set(cells)
    for end in (min, max):
        for number in ("size", "item", "share"):

            def ends(of, end=end, number=number):
                groups = {}
                for cell in of:
                    groups.setdefault((cell.name, cell.side), []).append(cell)
                return {
                    at: end(own, key=lambda c: getattr(c, number)) for at, own in groups.items()
                }

            assert ends(corners) == ends(cells)


@given(PLANS, st.data())
def test_chosen_cells_are_those_of_their_places(plans, data):
    ranges, cells = both(plans)
    places = [n for n in range(len(cells)) if data.draw(st.booleans())]
    chosen = ChosenCells(ranges, places)
    assert chosen == [cells[place] for place in places]
    assert (chosen.digest == ChosenCells(ranges, range(len(cells))).digest) == (
        len(places) == len(cells)
    )


@given(PLANS, PLANS)
def test_digests_tell_cells_apart(one, other):
    (ranges, cells), (others, lists) = both(one), both(other)
    if ranges.digest == others.digest:
        assert cells == lists
    if one == other:
        assert ranges.digest == others.digest
    assert (ranges == others) == (cells == lists)


def test_equal_texts_and_numbers_have_digests_of_their_own():
    made = [
        cells_of(Cell, ("name", names), ("item", items), suite="s", size=1, side="l").digest
        for names, items in ((["1"], [2]), ([1], [2]), (["1", "2"], [2]), (["1', '2"], [2]))
    ]
    assert len(set(made)) == 4


@given(PLANS)
def test_any_list_becomes_ranges(plans):
    ranges, cells = both(plans)
    assert listed(Cell, cells) == cells
    assert listed(Cell, ranges) is ranges


WEIGHTS = {"a": 5, "b": 1, "c": 9, "l": 4, "r": 2}


@given(PLANS)
def test_the_longest_is_found_along_the_axes_where_what_a_value_adds_is_its_own(plans):
    ranges, cells = both(plans)
    tried = []

    def sizes(some):
        tried.extend(some)
        return [50 + WEIGHTS[c.name] + WEIGHTS[c.side] + 3 * c.size - 2 * c.item for c in some]

    found = ranges.longest(("suite", "name", "side"), sizes)
    assert set(tried) <= set(cells)
    assert len(tried) <= sum(len(n) + 2 + 3 * len(t) + 2 + 2 + len(n) for n, _, t, _ in plans)
    assert found == max(sizes(cells), default=0)
