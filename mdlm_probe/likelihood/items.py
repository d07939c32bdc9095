"""What is scored: continuations, windows of documents, and the estimates that come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mdlm_probe.core.errors import ProbeError


@dataclass(frozen=True, slots=True)
class Item:
    """A continuation to be scored.

    Attributes:
        ids: tokens of context and continuation.
        first: position of the continuation's first token.
        name: for error messages.
        seed: of the mask sets: an item's value does not depend on its company.
    """

    ids: tuple[int, ...]
    first: int
    name: str = ""
    seed: int = 0

    @property
    def tokens(self) -> tuple[int, ...]:
        """The continuation."""
        return self.ids[self.first :]


@dataclass(frozen=True, slots=True)
class LikelihoodEstimate:
    """A log-likelihood in nats.

    Attributes:
        logp: of the continuation.
        se: its Monte Carlo standard error; 0 where nothing was sampled.
        passes: through the network.
        estimator: what was done: "exact", "exact-chain", "mc", "bernoulli", "dream", "pseudo" or
            "causal".
    """

    logp: float
    se: float
    passes: int
    estimator: str


def windows(ids: Sequence[int], prefix: int, longest: int) -> list[Item]:
    """A document cut into windows, each of its tokens a part of one continuation.

    The first window is given `prefix` alone, every other one token of what came before it; the last
    one is filled up with context on its left.

    Args:
        ids: of the document.
        prefix: a token to begin with, such as the tokenizer's first or the end of text.
        longest: tokens of a window with its context.

    Raises:
        ProbeError: a window that holds no token besides its context.
    """
    if longest < 2:
        raise ProbeError(f"a window has {longest} tokens", expected="2 or more")
    found, begin = [], 0
    while begin < len(ids):
        end = min(begin + longest - 1, len(ids))
        start = max(0, end - longest)
        before = tuple(ids[start:begin]) if begin else (prefix,)
        found.append(Item(before + tuple(ids[begin:end]), len(before)))
        begin = end
    return found
