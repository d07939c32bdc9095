"""Corrections of families of tests, a test of estimates with errors, and sizes of effects."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import special

from mdlm_probe.analysis.stats.estimate import FEW, LEVEL, NAN


def holm(p_values: Sequence[float] | Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """p-values corrected for being a family, by Holm's step-down method; NaN is no test.

    The chance of any false finding in the family stays under the level, however tests hang
    together. Source: Holm 1979.
    """
    p = np.array(p_values, dtype=float)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # NaN sorts last
    # not statsmodels' multipletests: it collects garbage at every call, which takes 60 ms
    steps = p[order] * np.arange(len(order), 0, -1)
    p[order] = np.minimum(1, np.maximum.accumulate(steps))
    return p


def welch(gap: float, errors: tuple[float, float], freedoms: tuple[float, float]) -> float:
    """How probable it is that of two equal things one seems this much better: Welch's test.

    One-sided. For estimates with standard errors of their own, as Monte Carlo likelihoods.

    Args:
        gap: the better estimate minus the other.
        errors: both standard errors; 0 is exact.
        freedoms: their degrees of freedom; inf where a standard error is known.
    """
    variance = errors[0] ** 2 + errors[1] ** 2
    if variance == 0:
        return 0.0 if gap > 0 else 1.0
    rough = sum(e**4 / freedom for e, freedom in zip(errors, freedoms, strict=True))
    far = -gap / math.sqrt(variance)
    return float(special.stdtr(variance**2 / rough, far) if rough else special.ndtr(far))


def cohen_dz(differences: np.ndarray) -> float:
    """The mean difference of pairs in standard deviations of the differences.

    NaN without spread, or with one pair. Source: Cohen 1988, section 2.3.5.
    """
    differences = np.asarray(differences, dtype=float)
    spread = _deviation(differences)
    return float(differences.mean()) / spread if spread else NAN


def minimum_detectable_effect(differences: np.ndarray, power: float = 0.8) -> float:
    """The smallest true mean difference that so many units would show with that power.

    By the two-sided t test at 5 %, in units of the measure, the spread being that of these
    differences (statsmodels). Smaller effects may be there and not be seen. NaN without spread, or
    with one unit.
    """
    from statsmodels.stats.power import TTestPower  # takes half a second: not for every command

    differences = np.asarray(differences, dtype=float)
    if not (spread := _deviation(differences)):
        return NAN
    n = len(differences)
    return spread * float(TTestPower().solve_power(nobs=n, alpha=1 - LEVEL, power=power))


def _deviation(values: np.ndarray) -> float:
    """The standard deviation of a sample; 0 where there is none but rounding."""
    if len(values) < 2 or np.ptp(values) <= FEW * np.abs(values).max():
        return 0.0
    return float(values.std(ddof=1))


def corrected(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Adds NAME_holm beside each NAME_p: by Holm's method, a model's rows being the family.

    Every column is a family of its own; rows without a p-value test nothing.
    """
    for name in names if len(table) else ():
        by_model = table.groupby("model", observed=True, sort=False)[f"{name}_p"]
        by_holm = by_model.transform(lambda p: pd.Series(holm(p.to_numpy()), index=p.index))
        table.insert(list(table.columns).index(f"{name}_p") + 1, f"{name}_holm", by_holm)
    return table
