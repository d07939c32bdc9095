"""Correlations of two measures of the same units."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy import special

from mdlm_probe.analysis.stats.estimate import FEW, LEVEL, NAN, Estimate


def correlation(
    first: Float[np.ndarray, "draws units"],
    second: Float[np.ndarray, "draws units"],
    taken: int = 0,
) -> Estimate:
    """Pearson's correlation with Fisher's interval and a t test, over units.

    Of several draws the mean of Fisher's z, with the error of one: exact where draws are the same,
    wider than need be where each has noise of its own. Noise makes a correlation smaller; where
    both measures of a draw have the same noise in them, it makes one that isn't there. NaN where a
    measure doesn't vary; no interval under four units.

    Args:
        first, second: one measure each, by draw.
        taken: further degrees of freedom that both lost before, as by groups' means taken out one
            fewer than there are groups. Source: Fisher 1924, of partial correlations.
    """
    apart = [values - values.mean(axis=-1, keepdims=True) for values in (first, second)]
    sizes = [np.sqrt((values**2).sum(axis=-1)) for values in apart]
    n = first.shape[-1]
    largest = max(float(np.abs(first).max(initial=0)), float(np.abs(second).max(initial=0)))
    freedom = n - 2 - taken
    if freedom < 1 or min(map(np.min, sizes)) <= FEW * largest:
        return Estimate(NAN, NAN, NAN, n)
    shares = (apart[0] * apart[1]).sum(axis=-1) / (sizes[0] * sizes[1])
    z = float(np.arctanh(np.clip(shares, FEW - 1, 1 - FEW)).mean())
    center = math.tanh(z)
    t = center * math.sqrt(freedom / (1 - center**2))
    p = 2 * float(special.stdtr(freedom, -abs(t)))
    reach = float(special.ndtri(0.5 + LEVEL / 2)) / math.sqrt(freedom - 1) if freedom > 1 else NAN
    return Estimate(center, math.tanh(z - reach), math.tanh(z + reach), n, p)
