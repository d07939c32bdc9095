"""The optimum of list tasks against enumeration of all draws, and against known formulas."""

import itertools
import math

import numpy as np
import pytest

from mdlm_probe.probes.parallel.optimum import optimum, shuffled
from mdlm_probe.prompts.list_tasks import FAMILIES, RANDOM, ListTask, has_new_word

STEPS = ([1, 1, 1, 1, 1], [1, 1, 2, 2, 3], [2, 1, 2, 1, 1], [3, 1, 2, 2, 2], [5, 2, 4, 1, 3])


def made(family, words="dbac"):
    return ListTask(family, tuple(words), "e" if has_new_word(family) else "", 1)


def drawn(task, groups, temperature):
    """The probability of a right answer, by following every draw of every step."""
    sizes = range(len(task.all_words))
    right = [a for a in itertools.product(sizes, repeat=task.slots) if task.is_right(a)]

    def follow(known, left):
        agree = [one for one in right if all(one[slot] == word for slot, word in known.items())]
        if not agree or not left:
            return float(bool(agree))
        rows = []
        for slot in left[0]:
            share = np.array([sum(one[slot] == word for one in agree) for word in sizes])
            if temperature == 0:
                rows.append((share == share.max()) / (share == share.max()).sum())
            else:
                power = share ** (1 / temperature)
                rows.append(power / power.sum())
        return sum(
            math.prod(row[word] for row, word in zip(rows, words, strict=True))
            * follow(known | dict(zip(left[0], words, strict=True)), left[1:])
            for words in itertools.product(*(np.flatnonzero(row) for row in rows))
        )

    return follow({}, groups)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_it_is_what_following_every_draw_gives(family, temperature):
    task = made(family)
    found = []
    for steps in STEPS:
        own = steps[: task.slots]
        groups = [[s for s, n in enumerate(own) if n == step] for step in sorted(set(own))]
        found.append(optimum(task, own, temperature))
        assert found[-1] == pytest.approx(drawn(task, groups, temperature), abs=1e-12)
    assert (min(found) < 0.999) == (family in RANDOM and (family, temperature) != GREEDY)


GREEDY = ("remove-random", 0.0)
"""Most probable words of its slots agree by themselves, of four words."""


@pytest.mark.parametrize("n", [2, 3, 8])
def test_all_at_once(n):
    """A replaced word: (1 - 1/n)^(n-1). A shuffle: n!/n^n, but for the list's own order."""
    words, at_once = "abcdefgh"[:n], [1] * n
    assert optimum(made("replace-random", words), at_once, 1.0) == pytest.approx(
        (1 - 1 / n) ** (n - 1)
    )
    if n == 8:
        rough = math.factorial(n) / n**n
        assert shuffled([n], 1.0) == pytest.approx(rough, rel=1e-4)
        assert shuffled([n], 1.0) != pytest.approx(rough, rel=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_at_a_time_loses_nothing_and_more_at_once_lose_more(family):
    task = made(family, "hgfedcba")
    by_size = [
        optimum(task, [slot // size for slot in range(task.slots)], 1.0) for size in (1, 2, 4, 8)
    ]
    assert by_size[0] == pytest.approx(1.0)
    if family in RANDOM:
        assert all(a > b for a, b in itertools.pairwise(by_size))
    else:
        assert by_size == [1.0] * 4


def test_hot_sampling_of_a_shuffle_is_even_over_words():
    """At a very high temperature a step draws words evenly, the list's own order among them."""
    n = 4
    assert shuffled([n], 1e9) == pytest.approx((math.factorial(n) - 1) / n**n)
