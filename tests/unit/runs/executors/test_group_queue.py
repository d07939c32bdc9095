"""Groups on their way through workers: order, window, deaths and errors, without any worker."""

import random

import pytest

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.runs.executors.contract import GroupResult
from mdlm_probe.runs.executors.group_queue import DEATHS, GroupQueue

GROUPS = [[f"cell {n}", f"cell {n}b"] for n in range(20)]


def result(number):
    return GroupResult(number, (), {}, 0.0)


def found(queue):
    return [one.found for one in queue.due()]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_order_workers_end_in_results_come_in_the_groups(seed):
    rng, queue, working, given = random.Random(seed), GroupQueue(GROUPS, 6), {}, []
    while not queue.over:
        while len(working) < 3 and (taken := queue.take()):
            working[taken[0]] = taken[1]
            assert taken[0] < len(given) + 6, "the window holds"
        if working:
            number = rng.choice(list(working))
            assert working.pop(number) == GROUPS[number]
            if rng.random() < 0.1:
                queue.lost(number, "killed")
            else:
                queue.finish(number, result(number))
        given += found(queue)
    assert given == list(range(len(GROUPS)))


def test_groups_are_asked_for_no_further_than_the_window():
    asked = []
    queue = GroupQueue((asked.append(group) or group for group in GROUPS), 3)
    taken = [queue.take() for _ in range(5)]
    assert [number for number, _ in taken[:3]] == [0, 1, 2]
    assert taken[3:] == [None, None]
    queue.finish(1, result(1))
    assert found(queue) == []
    assert queue.take() is None, "the first is still out"
    queue.finish(0, result(0))
    assert found(queue) == [0, 1]
    assert queue.take()[0] == 3
    assert len(asked) == 4


def test_a_lost_group_comes_before_new_ones():
    queue = GroupQueue(GROUPS, 9)
    for _ in range(3):
        queue.take()
    queue.lost(2, "killed")
    queue.lost(1, "killed")
    assert [queue.take()[0] for _ in range(3)] == [1, 2, 3]


def test_a_group_that_kills_is_named_after_all_before_it():
    queue = GroupQueue(GROUPS, 9)
    for _ in range(4):
        queue.take()
    queue.lost(3, "killed")
    for _ in range(DEATHS):
        queue.lost(2, "its machine ran out of memory")
    assert queue.take() is None, "nothing after it is asked, and what was lost there is left"
    queue.finish(1, result(1))
    assert found(queue) == []
    assert not queue.over
    queue.finish(0, result(0))
    given = queue.due()
    assert [next(given).found, next(given).found] == [0, 1]
    with pytest.raises(ProbeError) as stopped:
        next(given)
    said = str(stopped.value)
    assert f"{DEATHS} workers died of the same 2 cells or prompts, from cell 2 to cell 2b" in said
    assert "its machine ran out of memory" in said
    assert queue.over


def test_of_two_errors_the_first_in_order_is_told():
    queue = GroupQueue(GROUPS, 9)
    for _ in range(3):
        queue.take()
    queue.finish(2, ValueError("later"))
    queue.finish(1, ValueError("sooner"))
    queue.finish(0, result(0))
    given = queue.due()
    assert next(given).found == 0
    with pytest.raises(ValueError, match="sooner"):
        next(given)
    assert queue.over


def test_no_groups_are_over_at_once():
    queue = GroupQueue([], 3)
    assert queue.take() is None
    assert queue.over
