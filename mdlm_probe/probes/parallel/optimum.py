"""What an ideal reader gets right when it fills in several slots at once, in closed form. No torch.

In a step every slot is drawn by itself from its conditional marginal. So an answer's probability is
a product over steps, of each slot's marginal given the steps before; the optimum is its sum over
right answers. n words of a shuffle at once are right with probability about n!/n^n. It is the
optimum of whoever holds all right answers equally likely: a reader that knows one of them alone is
always right, and writes always the same. Source: after arXiv 2510.04767; the families beside
copy, replace and shuffle, and other temperatures, are ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from jaxtyping import Float

from mdlm_probe.prompts.list_tasks import ListTask, shuffle_shares


def optimum(task: ListTask, steps: Sequence[int], temperature: float) -> float:
    """The probability that an ideal reader's answer is right.

    Args:
        task: with all its right answers equally likely.
        steps: the step in which each slot is filled in, chosen without a look at what is drawn.
        temperature: 1 draws from marginals, T from their T-th root; 0 takes the most probable word,
            and one of them evenly where several are.
    """
    ordered = sorted(range(len(steps)), key=steps.__getitem__)
    groups = [list(own) for _, own in groupby(ordered, key=steps.__getitem__)]
    if task.family == "shuffle":
        return shuffled([len(own) for own in groups], temperature)
    total = 0.0
    for answer in task.arrangements():
        known: dict[int, int] = {}
        chance = 1.0
        for own in groups:
            rows = task.marginals(known)
            assert rows is not None, "a right answer agrees with itself"
            chance *= math.prod(float(tempered(rows[at], temperature)[answer[at]]) for at in own)
            known |= {at: answer[at] for at in own}
        total += chance
    return min(total, 1.0)


def tempered(row: Float[np.ndarray, " words"], temperature: float) -> Float[np.ndarray, " words"]:
    """Probabilities at a temperature; at 0 the largest ones share all evenly."""
    largest = row / row.max()
    found = np.isclose(largest, 1.0) if temperature == 0 else largest ** (1 / temperature)
    shares: Float[np.ndarray, " words"] = found / found.sum()
    return shares


def shuffled(sizes: Sequence[int], temperature: float) -> float:
    """The optimum of a shuffle whose steps fill in so many slots; which ones makes no difference.

    As long as every word stands where it stood, the list's own order is still to be avoided; from
    the first moved word on, all orders of the rest are right.
    """
    left, unmoved, moved = sum(sizes), 1.0, 0.0
    for size in sizes:
        moved *= float(math.perm(left, size) / left**size)
        own, others = shuffle_shares(left, True)
        if math.isnan(own):  # a single word is left, and it stands where it stood
            return moved
        row = tempered(np.array([own] + [others] * (left - 1)), temperature)
        for fixed in range(size):
            chance = float(row[0]) ** fixed * float(row[1]) ** (size - fixed)
            moved += unmoved * _fillings(size, left, fixed) * chance
        unmoved *= float(row[0]) ** size
        left -= size
    return min(moved, 1.0)


def _fillings(size: int, left: int, fixed: int) -> int:
    """In how many ways some of the words that are left fill so many of their slots without a word
    twice, so that just `fixed` of these hold their own: by inclusion and exclusion.
    """
    free = size - fixed
    ways = sum(
        (-1 if own % 2 else 1) * math.comb(free, own) * math.perm(left - fixed - own, free - own)
        for own in range(free + 1)
    )
    return math.comb(size, fixed) * ways
