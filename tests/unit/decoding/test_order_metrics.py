"""Local and global AR-ness against counting, over every order that steps leave open."""

import itertools
import math
import random

import pytest

from mdlm_probe.decoding.order_metrics import global_arness, local_arness

N = 5


def by_counting(steps, k):
    """Both as they are defined for one token per step, over all orders within steps."""
    places = [
        [p for p, s in enumerate(steps) if s == step]
        for step in range(1, max(steps, default=0) + 1)
    ]
    local, whole = [], []
    for parts in itertools.product(*map(itertools.permutations, places)):
        order = [place for part in parts for place in part]
        spans = [order[i : i + k + 1] for i in range(len(order) - k)]
        local += [all(b == a + 1 for a, b in itertools.pairwise(span)) for span in spans]
        left = sorted(order)
        for place in order:
            whole.append(left.index(place) < k)
            left.remove(place)
    return [sum(found) / len(found) if found else math.nan for found in (local, whole)]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_they_are_what_counting_finds(k):
    draw = random.Random(k)
    for _ in range(60):
        length = draw.randint(1, 6)
        steps = [draw.randint(0, draw.randint(1, length)) for _ in range(length)]
        expected = by_counting(steps, k)
        found = [local_arness(steps, k), global_arness(steps, k)]
        assert found == pytest.approx(expected, nan_ok=True), steps


@pytest.mark.parametrize("k", [1, 2, 4])
def test_known_orders_have_known_values(k):
    to_the_right, to_the_left = list(range(1, N + 1)), list(range(N, 0, -1))
    assert (local_arness(to_the_right, k), global_arness(to_the_right, k)) == (1, 1)
    assert (local_arness(to_the_left, k), global_arness(to_the_left, k)) == (0, k / N)
    # a random order's expectation, and that of a canvas that one step wrote
    orders = list(itertools.permutations(to_the_right))
    local = math.factorial(N - k) / math.factorial(N)
    whole = sum(min(1, k / masks) for masks in to_the_right) / N
    for measure, expected in ((local_arness, local), (global_arness, whole)):
        found = sum(measure(order, k) for order in orders) / len(orders)
        assert found == pytest.approx(expected)
        assert measure([1] * N, k) == pytest.approx(expected)


def test_masks_that_were_left_are_no_part_of_an_order():
    assert local_arness([0, 0, 1, 2], 1) == 1
    assert local_arness([1, 0, 2], 1) == 0, "not right behind it"
    assert global_arness([0, 2, 1], 1) == 0.5
    assert math.isnan(local_arness([1], 1))
    assert math.isnan(global_arness([0], 1))
