"""Likelihoods of texts by order, and by the number of masks that a step fills: their tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.row_parts import parts

START = "left_to_right"
FEW = 1e-9
"""Relative differences of drops that rounding makes."""


def _by_order(part: pd.DataFrame) -> pd.DataFrame:
    """Nats a token, texts as rows and orders as columns; texts that miss an order are left out."""
    rows = part.assign(value=part["logp"] / part["text_tokens"])
    wide = rows.pivot_table(index="prompt", columns="reveal_order", values="value", sort=False)
    return wide.dropna()


def _pooled(wide: pd.DataFrame) -> pd.DataFrame:
    """The random orders as one column, their mean."""
    kinds = pd.Index([str(name).partition("-")[0] for name in wide.columns]) == "random"
    out = wide.loc[:, ~kinds]
    return out.assign(random=wide.loc[:, kinds].mean(axis=1)) if kinds.any() else out


def orders(frame: pd.DataFrame) -> pd.DataFrame:
    """Every model, task and order: log-likelihood of the texts' own continuations, nats per token.

    Random orders are averaged for each text. `gain` is the paired difference from left to right
    (positive: the text is likelier in this order). T intervals over texts; `gain_holm` are
    p-values that Holm's method corrects over the orders of a model and task.
    """
    found = []
    for named, part in parts(frame):
        wide = _pooled(_by_order(part))
        lines = []
        for name in wide.columns if len(wide) else ():
            logp = wide[name].to_numpy()
            line = named | {"reveal_order": name, "n": len(wide)}
            line |= stats.mean(logp).within(-np.inf, 0.0).columns("logp_per_token")
            if START in wide and name != START:
                gain = stats.paired(logp, wide[START].to_numpy())
                line |= gain.columns("gain") | {"gain_p": gain.p}
            lines.append(line)
        p = stats.holm([line.get("gain_p", np.nan) for line in lines])
        found += [line | {"gain_holm": float(v)} for line, v in zip(lines, p, strict=True)]
    return pd.DataFrame(found)


def spread(frame: pd.DataFrame) -> pd.DataFrame:
    """Every model and task: how much the order matters for one text, in nats per token.

    `span` is the largest minus the smallest log-likelihood of a text over its orders, every random
    one for itself, and `deviation` their standard deviation: means with intervals of amounts over
    texts (`stats.amount`). Both are 0 where one joint explains all orders; a span grows with the
    number of orders.
    """
    found = []
    for named, part in parts(frame):
        wide = _by_order(part)
        if wide.shape[1] < 2 or not len(wide):
            continue
        line = named | {"orders": wide.shape[1], "n": len(wide)}
        line |= stats.amount(np.ptp(wide.to_numpy(), axis=1)).columns("span")
        deviation = stats.amount(wide.std(axis=1).to_numpy())
        found.append(line | deviation.columns("deviation"))
    return pd.DataFrame(found)


# ---------------------------------------------------------------------- budget


def drops(part: pd.DataFrame) -> pd.DataFrame:
    """What n masks per step cost in nats per token, texts as rows and n as columns, 1 first."""
    rows = part.assign(value=part["logp"] / part["text_tokens"])
    wide = rows.pivot_table(index="prompt", columns="at_once", values="value").dropna()
    return wide.rsub(wide[1], axis=0)


def budget(frame: pd.DataFrame) -> pd.DataFrame:
    """Every model, task and n: what n masks per step cost, in nats per token, over the same texts.

    `drop` is the sequential log-likelihood of what steps of one wrote minus that of what steps of n
    wrote. `illusion` is how much likelier the steps themselves took it to be, as a product of
    marginals. T intervals over texts.
    """
    found = []
    for named, part in parts(frame):
        wide = drops(part)
        rows = part.assign(gap=(part["logp_steps"] - part["logp"]) / part["text_tokens"])
        gaps = rows.pivot_table(index="prompt", columns="at_once", values="gap").loc[wide.index]
        found += [
            named
            | {"at_once": int(n), "n": len(wide)}
            | stats.mean(wide[n].to_numpy()).columns("drop")
            | stats.mean(gaps[n].to_numpy()).columns("illusion")
            for n in (wide.columns if len(wide) else ())
        ]
    return pd.DataFrame(found)


def bound(frame: pd.DataFrame) -> pd.DataFrame:
    """Every model and task: the largest n that costs less than eps; see `largest_within`."""
    found = []
    for named, part in parts(frame):
        wide = drops(part)
        if len(wide):
            eps = float(part["budget_eps"].iloc[0])
            named |= {"budget_eps": eps, "n": len(wide)}
            found.append(named | largest_within(wide, eps))
    return pd.DataFrame(found)


def largest_within(wide: pd.DataFrame, eps: float) -> dict[str, float]:
    """The largest n that costs less than eps, as do all smaller ones.

    `supported` is what the texts support: the upper end of each cost's interval is under eps, and
    none larger than the lower end of `by_mean`'s interval; 1 where they support no more, as of a
    single text. `by_mean` asks it of the mean cost, which a few texts can flatter; its interval is
    a bootstrap over texts (`stats.resampled`, from 12 on).

    Args:
        wide: costs in nats per token, texts as rows and n as columns, the smallest first.
        eps: in nats per token.
    """
    counts = wide.columns.to_numpy(dtype=int)

    def largest(costs: np.ndarray) -> np.ndarray:
        within = np.logical_and.accumulate(costs < eps, axis=-1)
        most: np.ndarray = np.where(within, counts, 1.0).max(axis=-1)
        return most

    most = stats.resampled(wide.to_numpy(), largest)
    low, high = most.low, most.high
    if len(wide) > 1 and np.isnan(low):  # every resample says the same
        low = high = most.mean
    ends = np.array([stats.mean(wide[n].to_numpy()).high for n in wide.columns])
    if len(wide) > 1:  # what all texts say alike, as no drop at all, has no interval
        alike = np.ptp(wide.to_numpy(), axis=0) <= FEW * wide.abs().max().to_numpy()
        ends = np.where(alike, wide.mean().to_numpy(), ends)
    supported = 1 if np.isnan(low) else min(int(largest(ends)), int(low))
    return {
        "supported": supported,
        "by_mean": int(most.mean),
        "by_mean_low": low,
        "by_mean_high": high,
    }
