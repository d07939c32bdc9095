"""Targets slot by slot, and the canvases that show some of their tokens."""

import pytest

from mdlm_probe.probes.alignment import moved_targets
from mdlm_probe.probes.alignment.moved_targets import Tail, canvas, hidden, settings

MASK = 99
TAIL = Tail((5, 6), (11, 12, 13))


@pytest.mark.parametrize(
    ("target", "tokens"),
    [
        ("unmoved", (11, 12, 13, None)),
        ("right", (None, 11, 12, 13)),
        ("left", (12, 13, None, None)),
        ("inserted", (6, 11, 12, 13)),
        ("replaced", (6, 12, 13, None)),
    ],
)
def test_a_wholly_masked_tail_is_one_canvas_for_all_targets(target, tokens):
    found = canvas(TAIL, target, {1, 2, 3}, "none", MASK)
    assert found.ids == (5, 6, MASK, MASK, MASK, MASK)
    assert found.places == (2, 3, 4, 5)
    assert tuple(slot.token for slot in found.labels) == tokens


@pytest.mark.parametrize(
    ("target", "ids", "labels"),
    [
        ("unmoved", (11, MASK, 13, MASK), (12, None)),
        ("right", (MASK, 11, MASK, 13), (None, 12)),
        ("left", (MASK, 13, MASK, MASK), (12, None, None)),
        ("inserted", (6, 11, MASK, 13), (12,)),
        ("replaced", (6, MASK, 13, MASK), (12, None)),
    ],
)
def test_context_that_moves_with_the_labels_is_the_targets_own_text(target, ids, labels):
    found = canvas(TAIL, target, {2}, "moved", MASK)
    assert found.ids[2:] == ids
    assert tuple(slot.token for slot in found.labels) == labels
    assert [n for n, s in zip(found.numbers, found.labels, strict=True) if s.token] == [2]


@pytest.mark.parametrize(
    ("target", "labels"),
    [
        ("unmoved", (12, None)),
        ("right", (11, 13)),
        ("left", (13, None)),
        ("inserted", (11, 13)),
        ("replaced", (12, None)),
    ],
)
def test_labels_that_move_alone_leave_the_canvas(target, labels):
    found = canvas(TAIL, target, {2}, "unmoved", MASK)
    assert found.ids[2:] == (11, MASK, 13, MASK)
    assert tuple(slot.token for slot in found.labels) == labels
    assert found.numbers == (2, 4), "rows are slots'"


def test_a_moved_label_that_stands_there_anyhow_is_equal():
    repeated = Tail((5,), (7, 7, 8))
    assert canvas(repeated, "right", {1, 2, 3}, "none", MASK).equal == (False, True, False, False)
    assert canvas(repeated, "left", {1, 2, 3}, "none", MASK).equal[:2] == (True, False)


def test_a_share_of_the_tokens_is_masked_and_one_at_least():
    assert hidden(8, 1, 0) == frozenset(range(1, 9))
    assert len(hidden(8, 0.5, 1)) == 4
    assert len(hidden(3, 0.01, 2)) == 1
    assert len({hidden(8, 0.5, seed) for seed in range(20)}) > 10
    assert list(settings([0.5, 1])) == [(0.5, "moved"), (0.5, "unmoved"), (1, "none")]
    assert moved_targets.LEAST == 2
