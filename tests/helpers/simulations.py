"""How often simulations repeat, how many cases are tried, and what shares that they count may be.

`make statistics` repeats each as often as its bounds are meant for. Other runs repeat a tenth, and
give way by as much as chance may do to so few: a share is out of bounds only where a true one
inside would be that far off in less than one simulation of a thousand. Seeds are fixed.
"""

import itertools
import math
import os
import random

import pytest
from scipy.stats import binom

WHOLE = bool(os.environ.get("MDLM_PROBE_STATISTICS"))
"""Whether this is `make statistics`."""
CHANCE = 1e-3

simulation = pytest.mark.statistics
"""Marks tests that `make statistics` repeats in full."""
whole = pytest.mark.statistics(whole=True)
"""Marks those that would say nothing with a tenth of the repetitions."""


def repeats(count):
    """How many times to repeat what is meant to be repeated this often."""
    return count if WHOLE else max(1, count // 10)


def between(share, low, high, count, *, exact=WHOLE):
    """Whether a share of `count` repetitions is within bounds, or may be by chance."""
    if exact:
        return low <= share <= high
    hits = round(share * count)
    few, many = binom.cdf(hits, count, low), binom.sf(hits - 1, count, high)
    return few > CHANCE and many > CHANCE


def tolerance(relative):
    """The relative tolerance of a mean over `repeats`, whose error falls with the root of these.

    It is half as wide again: what is twice the error for many is to be three times that for few.
    """
    return relative if WHOLE else relative * 1.5 * 10**0.5


def cases(combinations, every, *, whole=WHOLE):
    """Combinations to try: all of them in `make statistics`, else one of so many, always the same.

    They are drawn at random, so that none of the kinds that make them up is left out by its place.
    """
    combinations = list(combinations)
    if whole:
        return combinations
    count = math.ceil(len(combinations) / every)
    chosen = random.Random(0).sample(range(len(combinations)), count)
    return [combinations[at] for at in sorted(chosen)]


def spread(*axes, every, whole=WHOLE):
    """Combinations of a value of each axis: all in `make statistics`, else one of so many.

    Which ones goes round as in a Latin square: where one axis has `every` values, all values of the
    other axes still meet each other, and each of its own comes up as often as the next.
    """
    numbered = itertools.product(*(enumerate(axis) for axis in axes))
    places = (tuple(zip(*chosen, strict=True)) for chosen in numbered)
    return [values for numbers, values in places if whole or sum(numbers) % every == 0]
