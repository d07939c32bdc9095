"""The toy of two tokens: a language whose every figure can be computed with a pencil. No torch.

After C D comes a pair of A or A' and of B or B'. Known, from arXiv 2510.03289: P(A | CD) = .55 and
P(B | CD) = .69, while "AB" and "A'B'" are the likely pairs. Its data set is not public, and these
two leave one number of the joint open: P(AB | CD), which is ours. See docs/toy.md.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from mdlm_probe.prompts.toy_language import HiddenMarkov

CONTEXT = (" the", " old")
"""C and D, in the bundled models' words."""
FIRSTS, SECONDS = (" copper", " silver"), (" kettle", " coin")
"""A and A', B and B'."""
FIRST, SECOND = 0.55, 0.69
"""P(A | CD), P(B | CD)."""
BOTH = 0.55
"""P(AB | CD): the largest there can be. Nothing puts more on "AB" and "A'B'" together. Ours."""


def joint(both: float = BOTH) -> Float[np.ndarray, "2 2"]:
    """P(first, second | CD): A and A' down, B and B' across.

    Args:
        both: P(AB | CD), from FIRST + SECOND - 1 to the smaller of the two.
    """
    return np.array([[both, FIRST - both], [SECOND - both, 1 - FIRST - SECOND + both]])


def language(both: float = BOTH) -> HiddenMarkov:
    """The language as a hidden Markov chain: C, D, a pair, and again, each pair for itself.

    A state is a place of the four tokens and, of the last two, the pair that stands there.
    """
    tokens = (*CONTEXT, *FIRSTS, *SECONDS)
    pairs = [(i, j) for i in range(2) for j in range(2)]
    emission, transition = np.zeros((10, len(tokens))), np.zeros((10, 10))
    emission[0, 0] = emission[1, 1] = transition[0, 1] = 1
    for number, (i, j) in enumerate(pairs):
        first, second = 2 + number, 6 + number
        emission[first, 2 + i] = emission[second, 4 + j] = 1
        transition[1, first] = max(joint(both)[i, j], 0.0)  # rounding may be below none
        transition[first, second] = transition[second, 0] = 1
    from scipy import sparse  # a command line that only lists things needn't wait for it

    return HiddenMarkov(tokens, np.eye(10)[0], sparse.csr_array(transition), emission)
