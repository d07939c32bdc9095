"""What verdicts on pairs say: prompts' scores, win rates, and what the order does to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.runs.judges.columns import PEOPLE

WITHOUT = ("refused", "unparsable", "failed")
COMPUTED = {"nll": "likelihood", "language": "language"}
"""What the verdicts of judges follow that are no models."""


def line_of(part: pd.DataFrame, judge: str) -> dict[str, Any]:
    """A table's line of the verdicts of a judge on one thing: see `report.winrate`."""
    row = mean_score(of_prompts(part).to_numpy())
    row |= {"identical_pairs": int(part["identical"].sum())}
    row |= {kind: int((part["verdict"] == kind).sum()) for kind in WITHOUT}
    both = in_both_orders(part)
    known = "person" if judge.startswith(PEOPLE) else COMPUTED.get(judge, "")
    told = known if known or both is None else followed(both)
    return row | bias(part, both) | {"follows": told}


def of_prompts(frame: pd.DataFrame) -> pd.Series:
    """The score of each prompt: the mean over orders, then over seeds.

    No verdict in one of the orders: no score, since what is left would hold the order's bias.
    """
    by_pair = frame.groupby(["prompt", "seed"], sort=False)["win"]
    pairs = by_pair.mean()[by_pair.count() == by_pair.size()]
    return pairs.groupby(level="prompt", sort=False).mean()


def mean_score(scores: np.ndarray) -> dict[str, Any]:
    """The mean of prompts' scores with its interval and test, and how many were won."""
    if not len(scores):
        nan = float("nan")
        names = ("winrate", "winrate_low", "winrate_high", "p")
        return dict.fromkeys(names, nan) | dict.fromkeys(("n", "wins", "ties", "losses"), 0)
    found = stats.paired_hits(scores, 1 - scores)  # wins minus losses: twice as far from a half
    return {
        "winrate": (1 + found.mean) / 2,
        "winrate_low": (1 + found.low) / 2,
        "winrate_high": (1 + found.high) / 2,
        "p": found.p,
        "n": found.n,
        "wins": int((scores > 0.5).sum()),
        "ties": int((scores == 0.5).sum()),
        "losses": int((scores < 0.5).sum()),
    }


def in_both_orders(part: pd.DataFrame) -> pd.DataFrame | None:
    """The scores of pairs by order, where both have one; None where nobody was asked in orders."""
    asked = part[part["shown"] != "none"]
    if not len(asked):
        return None
    # pairs are told apart by their place among a prompt's rows of one order
    asked = asked.assign(pair=asked.groupby(["prompt", "seed", "shown"]).cumcount())
    asked = asked.dropna(subset="win")
    both = asked.pivot_table(index=["prompt", "seed", "pair"], columns="shown", values="win")
    return both.reindex(columns=["first", "second"]).dropna()


def followed(both: pd.DataFrame) -> str:
    """Whether verdicts follow the "text" or the "order" of the texts, or that is "unclear".

    One who never reads the texts, and prefers the first with some probability p, gives the pair two
    verdicts that differ with p^2 + (1 - p)^2: at least half of the time. Verdicts follow the text
    where fewer flip, and the order where more do, by Wilson's interval over pairs of which one
    verdict at least is no tie. Source: ours.
    """
    decided = both[(both != 0.5).any(axis=1)]
    if not len(decided):
        return "unclear"
    flips = stats.proportion((decided["first"] != decided["second"]).to_numpy())
    return "text" if flips.high < 0.5 else "order" if flips.low > 0.5 else "unclear"


def bias(part: pd.DataFrame, both: pd.DataFrame | None) -> dict[str, float]:
    """What the order of the texts does to verdicts; `both` as `in_both_orders` finds it."""
    nan = float("nan")
    found = {"flips": nan, "flips_low": nan, "flips_high": nan, "first_share": nan}
    if both is not None and len(both):
        share = stats.proportion((both["first"] != both["second"]).to_numpy())
        found |= share.columns("flips")
    decided = part[(part["shown"] != "none") & part["win"].notna() & (part["win"] != 0.5)]
    if len(decided):
        found["first_share"] = float(decided["verdict"].str.startswith("A>").mean())
    return found
