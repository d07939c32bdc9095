"""How close to left to right an order of unmasking is: local and global autoregressiveness.

Source: arXiv 2506.20639 (DiffuCoder), which unmasks one token per step. Ours: of tokens committed
in one step no order is known; each of their orders counts alike, so that a canvas that is written
in one step is as autoregressive as a random order, not wholly. Kendall's tau is in `text_metrics`.
No model, no torch.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise

import numpy as np


def local_arness(steps: Sequence[int], k: int) -> float:
    """The share of spans of k tokens that were unmasked one after the other, each right behind its
    left neighbour, 0 to 1: "local AR-ness@k" (arXiv 2506.20639, section 4).

    Of an order of n tokens there are n - k such spans: all but the first k tokens end one. From
    left to right it is 1, from right to left 0. It falls with k.

    Args:
        steps: the step of every position, from 1; others (0: never written) are no part of it.
        k: tokens of a span, 1 or more.

    Returns:
        NaN where no more than k positions count.
    """
    written = [(place, step) for place, step in enumerate(steps) if step > 0]
    if len(written) <= k:
        return math.nan
    sizes = Counter(step for _, step in written)
    known = dict(written)
    spans = (range(first, first + k + 1) for first, _ in written)
    found = sum(
        _in_a_row([known[place] for place in span], sizes)
        for span in spans
        if all(place in known for place in span)
    )
    return found / (len(written) - k)


def _in_a_row(span: Sequence[int], sizes: Counter[int]) -> float:
    """The probability that neighbours come one after the other, left to right.

    Args:
        span: their steps.
        sizes: tokens of each step.
    """
    if any(a > b for a, b in pairwise(span)):
        return 0.0
    parts = [(step, len(list(own))) for step, own in groupby(span)]
    between = range(parts[0][0] + 1, parts[-1][0])
    if any(sizes[step] for step in between if step not in dict(parts)):
        return 0.0
    found = 1.0
    for number, (step, own) in enumerate(parts):
        size = sizes[step]
        if 0 < number < len(parts) - 1 and own < size:
            return 0.0
        if len(parts) == 1:  # anywhere within the step's order
            return math.factorial(size - own + 1) / math.factorial(size)
        found *= math.factorial(size - own) / math.factorial(size)
    return found


def global_arness(steps: Sequence[int], k: int) -> float:
    """The share of tokens that were one of the k leftmost masks when they were unmasked, 0 to 1:
    "global AR-ness@k" (arXiv 2506.20639, section 4).

    From left to right it is 1 for any k; from right to left k of n. It grows with k.

    Args:
        steps: as for `local_arness`.
        k: masks, 1 or more.

    Returns:
        NaN where no position counts.
    """
    written = np.array([step for step in steps if step > 0])
    if not len(written):
        return math.nan
    # of each token (down) those to its left (across)
    later = np.tril(written[None, :] > written[:, None], -1).sum(axis=1)  # masks for certain
    beside = np.tril(written[None, :] == written[:, None], -1).sum(axis=1)
    # evenly 0 .. `beside` of its own step's are still masks when it is unmasked
    leftmost = np.clip(k - later, 0, beside + 1) / (beside + 1)
    return float(leftmost.mean())
