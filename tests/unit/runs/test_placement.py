"""Placement: models at the same time, the largest first, each model's turns in order."""

import threading

import pytest

from mdlm_probe.runs import placement

TURNS = [("small", 1, "a"), ("large", 9, "b"), ("small", 1, "c"), ("middle", 5, "d")]


class Part:
    """An executor that has no workers, and remembers whom it helped."""

    def __init__(self, number=1):
        self.number, self.helped, self.asked = number, [], None

    def parts(self, number):
        self.asked = number
        return [Part() for _ in range(self.number)] if self.number > 1 else [self]

    def help(self, others):
        self.helped.append(list(others))


def test_one_after_another_in_one_process():
    seen, one = [], Part()

    def take(turn, executor):
        seen.append((turn, executor))
        return turn.upper()

    assert placement.outcomes(TURNS, one, take) == ["A", "B", "C", "D"]
    assert seen == [(turn, one) for *_, turn in TURNS]


def test_models_at_the_same_time():
    """Two parts, three models: the two largest begin together, and one of them takes the third."""
    both, seen, lock = threading.Barrier(2, timeout=10), [], threading.Lock()

    def take(turn, executor):
        with lock:
            seen.append((turn, executor))
        if turn in "bd":  # neither ends before the other has begun
            both.wait()
        return turn.upper()

    whole = Part(2)
    assert placement.outcomes(TURNS, whole, take) == ["A", "B", "C", "D"]
    assert whole.asked == 3
    assert {turn for turn, _ in seen[:2]} == {"b", "d"}
    assert [turn for turn, _ in seen[2:]] == ["a", "c"]
    by = dict(seen)
    assert by["a"] is by["c"]
    assert by["b"] is not by["d"]


def test_who_has_nothing_left_to_do_helps():
    waits, helped = threading.Event(), []

    class Helping(Part):
        def help(self, others):
            helped.append((self, list(others)))
            waits.set()

        def parts(self, number):
            return [Helping() for _ in range(number)]

    by = {}

    def take(turn, executor):
        by[turn] = executor
        if turn == "b":
            assert waits.wait(10)
        return turn

    placement.outcomes([("large", 2, "b"), ("small", 1, "a")], Helping(), take)
    assert helped[0] == (by["a"], [by["b"]])
    assert len(helped) == 1  # the last one has nobody to help


def test_an_error_is_the_end():
    def take(turn, executor):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        placement.outcomes(TURNS, Part(2), take)
