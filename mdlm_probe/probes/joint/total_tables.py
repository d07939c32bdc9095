"""Total correlation by the number of masks: its curve, the largest number at a bound, the budget's.

Draws of a text are averaged first: intervals are over texts, and what the draws add to the spread
of texts is in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.frames import by_value
from mdlm_probe.analysis.row_parts import parts
from mdlm_probe.probes.joint.order_tables import drops, largest_within


def per_draw(frame: pd.DataFrame) -> pd.DataFrame:
    """Every draw's `total_correlation` and `draw_loss`, in nats, and both per token."""
    rows = frame.assign(
        total_correlation=frame["entropy_parallel"] - frame["entropy_sequential"],
        draw_loss=frame["logp_sequential"] - frame["logp_parallel"],
    )
    return rows.assign(
        total_per_token=rows["total_correlation"] / rows["together"],
        draw_loss_per_token=rows["draw_loss"] / rows["together"],
    )


def _orders(frame: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The draws of each model, task and order."""
    for named, part in parts(per_draw(frame)):
        for order, own in part.groupby("reveal_order", observed=True, sort=False):
            yield named | {"reveal_order": order}, own


def _of_texts(rows: pd.DataFrame, name: str) -> stats.Estimate:
    """The mean over texts of the means of their draws."""
    return stats.mean_over(rows, name, "prompt")


def sampling(rows: pd.DataFrame, name: str) -> dict[str, float]:
    """What other draws of the same texts would change of the mean over texts.

    Returns:
        `sampling_se`: its standard error, by the variance of each text's draws; NaN of one draw.
        `sampling_share`: the mean variance of the texts' own means that comes from their draws,
            over the variance that these means have: of two unbiased estimates, cut at 1. NaN where
            texts don't differ.
    """
    texts = rows.groupby("prompt", observed=True)[name].agg(["mean", "var", "count"])
    own = (texts["var"] / texts["count"]).mean(skipna=False)
    spread = texts["mean"].var()
    share = min(own / spread, 1.0) if spread > 0 and own >= 0 else np.nan
    return {"sampling_se": float(np.sqrt(own / len(texts))), "sampling_share": float(share)}


def total(frame: pd.DataFrame) -> pd.DataFrame:
    """Every model, task, order and n: what n masks of a text lose when they are filled at once.

    `total_correlation` (nats) and `total_per_token` are the masks' entropies alone less those in a
    chain of draws; `draw_loss_per_token` is how much likelier the chain's draws are to the chain
    than to the marginals. In one joint both have the same mean, which the first is closer to; see
    `notes`. `sampling_` is what other draws would change of the first.
    T intervals over texts.
    """
    found = []
    for named, part in _orders(frame):
        for n, own in by_value(part, "together"):
            counts = own.groupby("prompt", observed=True).size()
            nats = _of_texts(own, "total_correlation")
            found.append(
                named
                | {"together": int(n), "n": len(counts), "draws": int(counts.min())}
                | nats.columns("total_correlation")
                | nats.times(1 / n).columns("total_per_token")
                | sampling(own, "total_correlation")
                | _of_texts(own, "draw_loss_per_token").columns("draw_loss_per_token")
            )
    return pd.DataFrame(found)


def total_bound(frame: pd.DataFrame) -> pd.DataFrame:
    """Every model, task and order: the largest n whose total correlation is under eps a token.

    As do all smaller ones: `supported` and `by_mean` are those of `largest_within`. `draws_` are
    the same by the loss of the draws, which counts how wrong a model without one joint is about its
    own marginals, too.
    """
    found = []
    for named, part in _orders(frame):
        eps = float(part["budget_eps"].iloc[0])
        line = named | {"budget_eps": eps, "n": part["prompt"].nunique()}
        for way, name in (("", "total_per_token"), ("draws_", "draw_loss_per_token")):
            wide = part.pivot_table(index="prompt", columns="together", values=name)
            within = largest_within(wide.dropna(), eps)
            line |= {f"{way}{head}": value for head, value in within.items()}
        found.append(line)
    return pd.DataFrame(found)


def total_budget(frame: pd.DataFrame, budget: pd.DataFrame) -> pd.DataFrame:
    """Every model, task, order and n: total correlation against what greedy steps of n lose.

    `correlation` is Pearson's, over texts that both measures have, of nats per token: a text's
    total correlation of the first n masks, and the drop of its budget at n. Of all tasks together
    it is that within tasks: what a task's texts have in common is taken out first. Noise of the
    draws makes it smaller.
    """
    found = []
    lost = {tuple(named.values()): drops(part) for named, part in parts(budget)}
    for named, part in _orders(frame):
        own = lost.get((named["model"], named["task"]), pd.DataFrame())
        for n, rows in by_value(part, "together"):
            if n == 1 or n not in own:
                continue
            texts = rows.groupby(["task", "prompt"], observed=True)["total_per_token"].mean()
            both = texts.reset_index("task").join(own[n].rename("drop"), how="inner")
            kinds = both.pop("task").to_numpy()
            apart = (both - both.groupby(kinds).transform("mean")).to_numpy(dtype=float).T
            alike = stats.correlation(apart[:1], apart[1:], taken=max(len({*kinds}) - 1, 0))
            line = named | {"together": int(n), "n": alike.n}
            found.append(line | alike.columns("correlation"))
    return pd.DataFrame(found)


def total_notes(frame: pd.DataFrame) -> list[str]:
    """Says of a model where its draws lose other than its total correlation: it has no one joint.

    At the largest n, over all texts, where the interval of the difference leaves out 0.
    """
    found = []
    for (model, order), own in per_draw(frame).groupby(
        ["model", "reveal_order"], observed=True, sort=False
    ):
        rows = own[own["together"] == own["together"].max()]
        gap = _of_texts(
            rows.assign(gap=rows["draw_loss_per_token"] - rows["total_per_token"]), "gap"
        )
        if gap.low > 0 or gap.high < 0:
            found.append(
                f"{model} has no one joint ({order}, {int(rows['together'].iloc[0])} masks): its"
                f" draws lose {gap.mean:+.3g} nats per token beside its total correlation"
                f" ({gap.low:.3g} to {gap.high:.3g}); believe the bound by draws"
            )
    return found
