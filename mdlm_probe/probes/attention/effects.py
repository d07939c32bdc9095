"""How far predictions move when keys are removed: divergences by the most probable tokens.

A vocabulary of two distributions needn't leave the device: the tokens that were most probable with
all keys are told apart, all others count as one. The divergences are of these, and no larger than
those of whole rows (data processing inequality).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

TOLD_APART = 64
"""Tokens that are told apart."""
LEAST = 1e-6
"""What the probability of all others is at least: below it is rounding."""

Logs = Float[np.ndarray, "masks tokens"]


def kl(before: Logs, after: Logs) -> Float[np.ndarray, " masks"]:
    """Kullback-Leibler divergence of rows after a change from those before, in nats.

    Args:
        before, after: log-probabilities of the same tokens.
    """
    p, q = _shares(before), _shares(after)
    gaps = np.zeros_like(before, dtype=float)  # 0 where neither has any: the mask's
    np.subtract(before, after, out=gaps, where=p[:, :-1] > 0)
    rest = np.log(np.maximum(p[:, -1], LEAST) / np.maximum(q[:, -1], LEAST))
    found: np.ndarray = ((p[:, :-1] * gaps).sum(1) + p[:, -1] * rest).clip(min=0.0)
    return found


def tv(before: Logs, after: Logs) -> Float[np.ndarray, " masks"]:
    """Total variation distance, 0 to 1."""
    found: np.ndarray = np.abs(_shares(before) - _shares(after)).sum(1) / 2
    return found


def changed(
    before: Int[np.ndarray, "masks tokens"], after: Int[np.ndarray, " masks"]
) -> Float[np.ndarray, " masks"]:
    """1 where the most probable token is another: `before` has it first."""
    found: np.ndarray = (before[:, 0] != after).astype(float)
    return found


def _shares(logs: Logs) -> Float[np.ndarray, "masks kinds"]:
    """Probabilities of the tokens, and of all others together."""
    shares = np.exp(logs.astype(float))
    rest = (1 - shares.sum(1, keepdims=True)).clip(min=0.0)
    return np.concatenate([shares, rest], axis=1)
