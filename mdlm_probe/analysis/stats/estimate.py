"""What every interval and test gives: an estimate, its 95 % interval, its p-value."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

NAN = math.nan
LEVEL = 0.95
"""Of all intervals."""
FEW = 1e-12
"""Relative spread under which values differ by rounding only."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Attributes:
        mean: the estimate.
        low, high: ends of the 95 % interval; NaN where the units tell none, as one unit does.
        n: independent units that the interval is over.
        p: two-sided p-value of the hypothesis that the mean is zero; NaN where not tested.
    """

    mean: float
    low: float
    high: float
    n: int
    p: float = NAN

    def within(self, least: float, most: float) -> Estimate:
        """The same, its interval cut at what values there can be."""
        low, high = (float(np.clip(end, least, most)) for end in (self.low, self.high))
        return replace(self, low=low, high=high)

    def times(self, scale: float) -> Estimate:
        """The same in another unit."""
        mean, low, high = (scale * value for value in (self.mean, self.low, self.high))
        return replace(self, mean=mean, low=low, high=high)

    def columns(self, name: str) -> dict[str, float]:
        """As columns of a report's table: NAME, NAME_low and NAME_high."""
        return {name: self.mean} | self.ends(name)

    def ends(self, name: str) -> dict[str, float]:
        """The interval alone as columns of a report's table: NAME_low and NAME_high."""
        return {f"{name}_low": self.low, f"{name}_high": self.high}


def t_quantile(n: int) -> float:
    """How many standard errors a t interval of n units' mean reaches to either side."""
    return float(special.stdtrit(n - 1, 0.5 + LEVEL / 2)) if n > 1 else NAN


def t_estimate(center: float, error: float, freedom: float, n: int) -> Estimate:
    """An estimate with its standard error: the t interval, and the t test against zero."""
    reach = float(special.stdtrit(freedom, 0.5 + LEVEL / 2)) * error
    p = 2 * float(special.stdtr(freedom, -abs(center) / error))
    return Estimate(center, center - reach, center + reach, n, p)
