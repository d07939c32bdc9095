"""What parallel filling loses: pairs of masks, sets of words, orders of a text, masks in a step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.frames import by_value
from mdlm_probe.analysis.pairing import PROMPT_ITEM, Measure, Pairing
from mdlm_probe.analysis.row_parts import ALL, parts
from mdlm_probe.probes.joint import calibration
from mdlm_probe.probes.joint.order_tables import START, bound, budget, orders, spread
from mdlm_probe.probes.joint.total_tables import (
    per_draw,
    total,
    total_bound,
    total_budget,
    total_notes,
)

PRINTED = ("circulation", "sets", "orders", "spread", "bound", "total_bound")
UNREAD = ("token_first", "token_second", "written")
UNITS = {
    "orders": dict.fromkeys(("logp_per_token", "gain"), "nats per token"),
    "spread": dict.fromkeys(("span", "deviation"), "nats per token"),
    "budget": dict.fromkeys(("drop", "illusion"), "nats per token"),
    "circulation": {"size": "nats"},
    "total": {"total_correlation": "nats", "sampling_se": "nats", "sampling_share": "share"}
    | dict.fromkeys(("total_per_token", "draw_loss_per_token"), "nats per token"),
}
"""Units of columns that the rows don't have, or have in another one; by table."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
INCOHERENT = ("incoherent_parallel", "incoherent_sequential")
MASSES = ("mass_parallel", "mass_sequential")
LEAST_MASS = 0.01
"""Probability that both slots get words of their set, under which the set is left out. Ours."""


def tables(frame: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The report's tables by name, of what was measured.

    "pairs" and their "circulation", "sets" of words, "orders" and their "spread", the "budget" at
    every number of masks in a step, and the largest that is still within it, the "bound";
    "calibration" and "reliability" of what is most probable beside the texts' own tokens; "total"
    correlation by the number of masks, its own bound, and what it has to do with the budget.

    Raises:
        KeyError, ValueError: for rows that a joint run didn't write.
    """
    numbers = {"pairs": ["masks_before", "circulation"], "orders": ["logp"]}
    numbers |= {"budget": ["logp", "at_once"], "total": ["entropy_sequential", "together"]}
    for kind, names in numbers.items():
        frame[kind][names].apply(pd.to_numeric)
    found = {
        "pairs": pairs(frame["pairs"]),
        "circulation": circulation(frame["pairs"]),
        "sets": sets(frame["sets"]),
        "orders": orders(frame["orders"]),
        "spread": spread(frame["orders"]),
        "budget": budget(frame["budget"]),
        "bound": bound(frame["budget"]),
        **calibration.tables(frame["orders"]),
        "total": total(frame["total"]),
        "total_bound": total_bound(frame["total"]),
        "total_budget": total_budget(frame["total"], frame["budget"]),
    }
    return {name: table for name, table in found.items() if len(table)}


def _by_text(rows: pd.DataFrame, name: str, most: float = np.inf) -> stats.Estimate:
    """The mean over texts of the texts' means of an amount."""
    return stats.amount(rows.groupby("prompt", observed=True)[name].mean().to_numpy(), most)


def pairs(frame: pd.DataFrame) -> pd.DataFrame:
    """Every model, task and distance: what parallel filling of two masks gets wrong.

    `mi` (nats) and `tv` between sequential and parallel filling, `unlikely` the probability of a
    pair under eps by a parallel draw, `unlikely_sequential` by a sequential one: means over pairs,
    with the interval of `stats.amount` over texts. `_bound` is how much larger each may be at most,
    for the candidates left out; see the docstring of `couplings.Coupling`. `n` is the texts that
    are long enough for this distance.
    """
    found = []
    for named, part in parts(frame):
        for distance, own in by_value(part, "pair_distance"):
            line = named | {"pair_distance": int(distance), "n": own["prompt"].nunique()}
            for name in ("mi", "tv_joint", "unlikely", "unlikely_sequential"):
                most = np.inf if name == "mi" else 1.0
                line |= _by_text(own, name, most).columns(name)
                line[f"{name}_bound"] = own.groupby("prompt")[f"{name}_bound"].mean().mean()
            found.append(line)
    return pd.DataFrame(found)


def circulation(frame: pd.DataFrame) -> pd.DataFrame:
    """Every model and distance, all tasks together, and all distances: how far from one joint.

    `size` is the mean of |circulation| in nats, with an interval as in `pairs`; the quantiles
    are of the signed values, over pairs.
    """
    found = []
    for model, own in frame.groupby("model", observed=True, sort=False):
        each = [(str(int(d)), part) for d, part in by_value(own, "pair_distance")]
        for distance, part in [*each, (ALL, own)]:
            size = part.assign(size=part["circulation"].abs())
            line: dict[str, Any] = {"model": model, "pair_distance": distance}
            line |= {"n": part["prompt"].nunique(), "mask_pairs": len(part)}
            line |= _by_text(size, "size").columns("size")
            values = np.quantile(part["circulation"], QUANTILES)
            line |= {f"q{100 * q:02.0f}": v for q, v in zip(QUANTILES, values, strict=True)}
            found.append(line)
    return pd.DataFrame(found)


def sets(frame: pd.DataFrame) -> pd.DataFrame:
    """Every model and pair set, and all sets: the share of fillings that mix two pairs.

    Given that both slots got words of the set; `mass` is the probability that they do. Intervals
    are t intervals over sets, and a t test is that of the paired difference (`lost`: parallel minus
    sequential) against none. Sets of which this model knows fewer than two pairs count nowhere, nor
    do those whose words it hardly ever writes (`LEAST_MASS`, either way): a share of nearly nothing
    says nothing. `left_out` says so, and of all sets how many are.
    """
    found = []
    for model, own in frame.groupby("model", observed=True, sort=False):
        known = usable(own)
        for at, row in own.iterrows():
            line = {
                "model": model,
                "set": row["prompt"],
                "set_pairs": int(row["set_pairs"]),
                "n": 1,
            }
            shares = {name: row[name] if at in known.index else np.nan for name in INCOHERENT}
            line |= shares | {name: row[name] for name in MASSES}
            found.append(line | {"left_out": int(at not in known.index)})
        if not len(known):
            continue
        line = {
            "model": model,
            "set": ALL,
            "set_pairs": int(known["set_pairs"].sum()),
            "n": len(known),
        }
        for name in INCOHERENT:
            line |= stats.mean(known[name].to_numpy()).within(0.0, 1.0).columns(name)
        line |= {name: known[name].mean() for name in MASSES}
        lost = stats.paired(*(known[name].to_numpy() for name in INCOHERENT))
        line |= lost.within(-1.0, 1.0).columns("lost") | {"lost_p": lost.p}
        found.append(line | {"left_out": len(own) - len(known)})
    return pd.DataFrame(found)


def usable(rows: pd.DataFrame) -> pd.DataFrame:
    """The pair sets of which a model knows two pairs or more, and writes their words at times."""
    known = rows.dropna(subset=[*INCOHERENT, *MASSES])
    enough: pd.DataFrame = known[(known[[*MASSES]] >= LEAST_MASS).all(axis=1)]
    return enough


def notes(frame: dict[str, pd.DataFrame]) -> list[str]:
    """Says of a model's pair sets how many count nowhere, and why; of draws, see `total_notes`."""
    found = total_notes(frame["total"])
    for model, own in frame["sets"].groupby("model", observed=True, sort=False):
        known = own.dropna(subset=[*INCOHERENT, *MASSES])
        why = {
            "has fewer than two pairs of single tokens": len(own) - len(known),
            f"gets less than {LEAST_MASS:.0%} of the probability": len(known) - len(usable(own)),
        }
        found += [
            f"{count} of {len(own)} pair sets {'is' if count == 1 else 'are'} left out of {model}:"
            f" what they fill the slots with {reason}"
            for reason, count in why.items()
            if count
        ]
    return found


# ---------------------------------------------------------------------- comparing


def coupled(frame: pd.DataFrame) -> pd.DataFrame:
    """Every text's pairs of masks by distance; `size` is |circulation|."""
    return frame.assign(size=frame["circulation"].abs())


def mixed(frame: pd.DataFrame) -> pd.DataFrame:
    """Every pair set that counts; `mixing` is what parallel filling mixes more than sequential."""
    rows = usable(frame)
    return rows.assign(mixing=rows["incoherent_parallel"] - rows["incoherent_sequential"])


def ordered(frame: pd.DataFrame) -> pd.DataFrame:
    """Every text's log-likelihood per token in each order, and its `gain` over left to right."""
    kinds = frame["reveal_order"].astype(str).str.split("-").str[0]
    rows = frame.assign(reveal_order=kinds, value=frame["logp"] / frame["text_tokens"])
    start = rows[kinds == START].set_index(["task", "prompt"])["value"]
    rows = rows.join(start.rename("start"), on=["task", "prompt"])
    return rows.assign(gain=(rows["value"] - rows["start"]).where(kinds != START))


def budgeted(frame: pd.DataFrame) -> pd.DataFrame:
    """What n masks per step cost every text, in nats per token, and how much they are mistaken."""
    value = frame["logp"] / frame["text_tokens"]
    one = value[frame["at_once"] == 1].set_axis(
        pd.MultiIndex.from_frame(frame.loc[frame["at_once"] == 1, ["task", "prompt"]])
    )
    rows = frame.assign(value=value).join(one.rename("one"), on=["task", "prompt"])
    drop, illusion = rows["one"] - rows["value"], (rows["logp_steps"] - rows["logp"])
    return rows.assign(drop=drop, illusion=illusion / rows["text_tokens"])[rows["at_once"] > 1]


PAIRED = (
    Pairing(
        {
            "mi": Measure("mutual information of two masks (nats)"),
            "tv_joint": Measure("parallel against sequential filling (TV)", better="less"),
            "unlikely": Measure("unlikely pairs (points)", scale=100, better="less"),
            "size": Measure("|circulation| (nats)"),
        },
        item=PROMPT_ITEM,
        by=("pair_distance",),
        name="pairs",
        kind="pairs",
        rows=coupled,
    ),
    Pairing(
        {
            "incoherent_parallel": Measure(
                "mixed fillings, parallel (points)", scale=100, better="less"
            ),
            "mixing": Measure(
                "mixed fillings, parallel - sequential (points)", scale=100, better="less"
            ),
        },
        item=PROMPT_ITEM,
        name="sets",
        kind="sets",
        rows=mixed,
    ),
    Pairing(
        {
            "value": Measure("log-likelihood (nats per token)", better="more"),
            "gain": Measure("gain over left to right (nats per token)", better="more"),
        },
        item=PROMPT_ITEM,
        by=("reveal_order",),
        name="orders",
        kind="orders",
        rows=ordered,
        free=("anchors",),
    ),
    Pairing(
        {
            "drop": Measure("lost by steps of n (nats per token)", better="less"),
            "illusion": Measure("illusion of steps of n (nats per token)"),
        },
        item=PROMPT_ITEM,
        by=("at_once",),
        name="budget",
        kind="budget",
        rows=budgeted,
    ),
    Pairing(
        {
            "total_per_token": Measure("total correlation (nats per token)", better="less"),
            "draw_loss_per_token": Measure("loss of draws (nats per token)", better="less"),
        },
        item=PROMPT_ITEM,
        by=("reveal_order", "together"),
        name="total",
        kind="total",
        rows=per_draw,
        free=("seed",),
    ),
)
