"""How far raters agree beyond chance: Cohen's and Fleiss' kappa, with intervals over units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from mdlm_probe.analysis.stats.estimate import NAN, Estimate
from mdlm_probe.analysis.stats.resampling import Statistic, bootstrap


def cohen_kappa(
    first: Int[np.ndarray, " items"], second: Int[np.ndarray, " items"], units: Sequence[object]
) -> Estimate:
    """Cohen's kappa of two raters' categories: 1, they agree; 0, as often as by chance.

    With the interval of `bootstrap` over units, within which items may be alike. NaN where both
    give every item the same category: then nothing is to be told.

    Args:
        first, second: the category of each item, from 0.
        units: what each item is about, such as the prompt.

    Source: Cohen 1960.
    """
    size = int(max(first.max(initial=0), second.max(initial=0))) + 1
    cells = np.eye(size * size)[first * size + second]

    def kappa(means: Float[np.ndarray, "*any cells"]) -> Float[np.ndarray, "*any"]:
        table = means.reshape(*means.shape[:-1], size, size)
        table = table / table.sum(axis=(-2, -1), keepdims=True)
        seen = np.trace(table, axis1=-2, axis2=-1)
        return _beyond(seen, (table.sum(axis=-1) * table.sum(axis=-2)).sum(axis=-1))

    return _over(cells, units, kappa)


def fleiss_kappa(ratings: Int[np.ndarray, "items raters"], units: Sequence[object]) -> Estimate:
    """Fleiss' kappa of several raters who all judged the same items; as `cohen_kappa` else.

    Krippendorff's alpha for names is 1 - (1 - kappa) (m - 1) / m, of m ratings in all.

    Source: Fleiss 1971.
    """
    raters, size = ratings.shape[1], int(ratings.max(initial=0)) + 1
    counts = np.eye(size)[ratings].sum(axis=1)
    agreed = (counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))
    cells = np.column_stack([counts, agreed])

    def kappa(means: Float[np.ndarray, "*any cells"]) -> Float[np.ndarray, "*any"]:
        items = means[..., :-1].sum(axis=-1) / raters
        shares = means[..., :-1] / (items * raters)[..., None]
        return _beyond(means[..., -1] / items, (shares**2).sum(axis=-1))

    return _over(cells, units, kappa)


def _beyond(
    seen: Float[np.ndarray, "*any"] | float, chance: Float[np.ndarray, "*any"] | float
) -> Float[np.ndarray, "*any"]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(chance < 1 - 1e-12, (seen - chance) / (1 - chance), NAN)


def _over(
    cells: Float[np.ndarray, "items cells"], units: Sequence[object], kappa: Statistic
) -> Estimate:
    """A function of sums over items, with its interval over units."""
    if not len(cells):
        return Estimate(NAN, NAN, NAN, 0)
    codes = pd.factorize(np.asarray(units, dtype=str))[0]
    sums = pd.DataFrame(cells).groupby(codes).sum().to_numpy()
    return bootstrap(sums, kappa, (-1.0, 1.0))
