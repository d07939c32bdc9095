"""What can be measured of one generated answer, or of two beside each other, on token ids.

All are pure functions of the ids: no model, no tokenizer. NaN stands where there is nothing to
measure. Source: ours; n-gram shares, Levenshtein's distance and Kendall's tau are textbook.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein

from mdlm_probe.core.errors import ProbeError

QUOTES = "\"'“”„‘’«»"
"""What may stand around an answer without changing it, beside spaces."""

# ---------------------------------------------------------------------- one answer


def repeated(ids: Sequence[int], n: int = 4) -> float:
    """The share of n-grams that occurred before in the text, 0 to 1; NaN if there are none.

    1 2 1 2 1 has the bigrams 12, 21, 12, 21: two of four occurred before, 0.5.

    Raises:
        ProbeError: `n` is below 1.
    """
    return 1 - distinct(ids, n)


def distinct(ids: Sequence[int], n: int) -> float:
    """Different n-grams as a share of all n-grams, 0 to 1; NaN if there are none.

    Raises:
        ProbeError: `n` is below 1.
    """
    grams = _grams(ids, n)
    return len(set(grams)) / len(grams) if grams else math.nan


def longest_repeat(ids: Sequence[int]) -> int:
    """The most tokens in a row that the text has twice or more, places overlapping or not.

    1 2 3 1 2 has 1 2: two. Ten equal tokens have nine in a row twice. 0 where no token comes again.
    """
    low, high = 0, max(0, len(ids) - 1)
    while low < high:  # of a repeated span every part is repeated
        middle = (low + high + 1) // 2
        low, high = (middle, high) if distinct(ids, middle) < 1 else (low, middle - 1)
    return low


def entropy(ids: Sequence[int], n: int) -> float:
    """Shannon's entropy of the text's own n-grams, in nats; NaN if there are none.

    At most the logarithm of their number; 0 where all are equal. That of single tokens is what
    arXiv 2604.02718 sets beside the perplexity of samples.

    Raises:
        ProbeError: `n` is below 1.
    """
    counts = np.array(list(Counter(_grams(ids, n)).values()), dtype=float)
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum()) + 0.0 if len(counts) else math.nan


def _grams(ids: Sequence[int], n: int) -> list[tuple[int, ...]]:
    if n < 1:
        raise ProbeError(f"n-grams of {n} tokens", expected="1 token or more")
    return list(zip(*(ids[start:] for start in range(n)), strict=False))


def tau(steps: Sequence[int]) -> float:
    """Kendall's tau-b between a token's position and the step that wrote it, -1 to 1 (scipy).

    1: left to right; -1: right to left; positions written in the same step are ties.

    Args:
        steps: the step of every position, from 1; others (0 and less: never written) don't count.

    Returns:
        NaN if fewer than two positions count, or all were written in one step.
    """
    written = np.asarray(steps)
    places = np.flatnonzero(written > 0)
    if len(np.unique(written[places])) < 2:
        return math.nan
    from scipy.stats import kendalltau  # half of what a command line would wait for

    return float(kendalltau(places, written[places]).statistic)


def exact(answer: str, right: str) -> bool:
    """Whether a generated answer is the right one, case ignored; never where `right` is empty.

    The answer is its first line with something in it, up to the first `]`. Spaces and quotes around
    an answer, and its final full stop, don't count: on neither side, so that "U.S." matches itself.
    """
    line = next((line for line in answer.splitlines() if line.strip()), "")
    wanted = _bare(right)
    return bool(wanted) and _bare(line.split("]")[0]) == wanted


def _bare(text: str) -> str:
    around = rf"^[\s{QUOTES}]+|[\s{QUOTES}]+$"
    # twice, since the full stop stands inside or outside the quotes
    inner = re.sub(around, "", text).removesuffix(".")
    return re.sub(around, "", inner).casefold()


# ---------------------------------------------------------------------- two answers


def edit_distance(a: Sequence[int], b: Sequence[int]) -> int:
    """Fewest tokens to insert, delete or replace to make one text of the other (rapidfuzz)."""
    return Levenshtein.distance(a, b)


def divergence(a: Sequence[int], b: Sequence[int]) -> int | None:
    """The first position where two texts differ, from 0; None if they are equal.

    Of a text and its beginning: the shorter one's length.
    """
    pairs = zip(a, b, strict=False)
    shorter = None if len(a) == len(b) else min(len(a), len(b))
    return next((place for place, (x, y) in enumerate(pairs) if x != y), shorter)


def parted(a: Sequence[int], b: Sequence[int], first: int, window: int) -> float:
    """The share of positions soon after the first divergence that differ, 0 to 1.

    How fast two texts part: 0 where they go on alike after one other token.

    Args:
        a, b: token ids.
        first: the divergence; positions count from the one behind it.
        window: positions that count, at most. Where one text has ended and the other hasn't, a
            position differs; where both have, there is none.

    Returns:
        NaN if there is no such position.
    """
    end = min(first + 1 + window, max(len(a), len(b)))
    places = range(first + 1, end)
    both = min(len(a), len(b))
    differ = sum(place >= both or a[place] != b[place] for place in places)
    return differ / len(places) if places else math.nan
