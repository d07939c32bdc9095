"""What kept keys and values change: errors by the steps since they were computed, and the texts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.charts import Axis, Chart
from mdlm_probe.analysis.frames import PROMPT_COLUMNS, Tables, by_value, grouped
from mdlm_probe.analysis.pairing import PROMPT_ITEM, Measure, Pairing

SERIES = ["model", "cache", "block"]
SHARES = {"same_top": "masks_asked", "same_choice": "committed", "same_commit": "committed"}
"""What each share is of."""
PRINTED = ("error",)
UNREAD = ("answer", "answer_exact")
UNITS = {table: {"dlogp": "nats"} for table in ("error", "since")}
"""Units of columns that the rows don't have, or have in another one; by table."""


def tables(frame: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The report's tables by name: "error" and "since".

    Raises:
        KeyError, ValueError: for rows that a cache run didn't write.
    """
    answers, steps = frame["answers"], frame["steps"]
    answers[["block", "fed", "edit_distance"]].apply(pd.to_numeric)
    steps[["block", "since", "masks_asked", "dlogp_mean"]].apply(pd.to_numeric)
    return {"error": error(answers, steps), "since": since(steps)}


def error(answers: pd.DataFrame, steps: pd.DataFrame) -> pd.DataFrame:
    """What a cache changes, by model, cache and block; all intervals are over prompts.

    Of passes that reuse something, against a whole pass on the same canvas: `same_top`, masks whose
    most probable token is the same; `dlogp`, by how much the log-probability of the exact one
    differs, in nats, absolute, and `dlogp_max` at most; `same_choice`, committed masks that would
    have been committed anyway; `same_commit`, with the same token. Means of the prompts' means over
    masks, with the interval of `stats.amount`. A block of one step reuses nothing.

    Of the answers, against exact decoding: `equal`, the share that is the same (Wilson); `edits`,
    tokens to insert, delete or replace, per token of the longer answer (likewise); `differ`, places
    with another token; `saving`, tokens that needn't go through the network, of those that exact
    decoding feeds.
    """
    rows = []
    passes = dict(iter(steps.groupby(SERIES, observed=True, sort=False)))
    for named, texts in grouped(answers, SERIES):
        own = passes.get(tuple(named.values()), steps[:0])
        reused = own[own["since"] > 0]
        equal = stats.proportion((texts["edit_distance"] == 0).to_numpy())
        rows.append(
            named
            | {"n": len(texts)}
            | {"same_top": _mean(reused, "same_top")}
            | _line("dlogp", _means(reused, "dlogp_mean", "masks_asked"))
            | {"dlogp_max": float(reused["dlogp_max"].max())}
            | {name: _mean(reused, name) for name in ("same_choice", "same_commit")}
            | equal.columns("equal")
            | _line("edits", edits(texts).to_numpy(), most=1.0)
            | {"differ": float(texts["differ"].mean())}
            | {"saving": 1 - texts["fed"].sum() / texts["fed_exact"].sum()}
        )
    return pd.DataFrame(rows)


def since(steps: pd.DataFrame) -> pd.DataFrame:
    """The measures of `error` by the steps since a block began, with the prompts that got there.

    At 0 keys and values are those of the canvas itself: what is left there is rounding.
    """
    rows = []
    for named, passes in grouped(steps, SERIES):
        for step, part in by_value(passes, "since"):
            rows.append(
                named
                | {"since": int(step), "n": len(part)}
                | {"same_top": _mean(part, "same_top")}
                | _line("dlogp", _means(part, "dlogp_mean", "masks_asked"))
                | {"dlogp_max": float(part["dlogp_max"].max())}
                | {name: _mean(part, name) for name in ("same_choice", "same_commit")}
            )
    return pd.DataFrame(rows)


def edits(texts: pd.DataFrame) -> pd.Series:
    """Edits of each answer as a share of the longer one's tokens; 0 where both are empty."""
    longer = np.maximum(texts["answer_tokens"], texts["answer_tokens_exact"])
    return texts["edit_distance"] / np.maximum(longer, 1)


def _means(passes: pd.DataFrame, name: str, weight: str) -> np.ndarray:
    """A prompt's mean of a measure over all its masks, for each prompt, [prompts]."""
    sums = passes.assign(value=passes[name] * passes[weight]).groupby(PROMPT_COLUMNS, observed=True)
    return (sums["value"].sum() / sums[weight].sum()).to_numpy()


def _mean(passes: pd.DataFrame, share: str) -> float:
    """The mean of the prompts' shares; NaN where there are no passes."""
    found = _means(passes, share, SHARES[share])
    return float(found.mean()) if len(found) else np.nan


def _line(name: str, values: np.ndarray, most: float = np.inf) -> dict[str, float]:
    """The columns of a mean over prompts and its interval, which can't leave 0..`most`."""
    return stats.amount(values, most).columns(name)


# ---------------------------------------------------------------------- charts


READ = (
    "Under bidirectional attention kept keys and values are an approximation. At 0 steps nothing is"
    " reused: an error there would be rounding. The saving is of tokens that needn't go through the"
    " network; edits are what it costs the texts."
)
TASK = "task"
MASKS = "a canvas of {length}"


def _since(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return _ways(tables["since"])


def _error(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return _ways(tables["error"])


def _ways(table: pd.DataFrame) -> pd.DataFrame:
    """A column `way`: what is kept, in blocks of which size."""
    way = table["cache"] + ", blocks of " + table["block"].astype(str)
    return table.assign(way=way)


NAMES = (("way", ""),)
COUNTS = (("n", "prompts"),)
CHARTS = (
    Chart(
        "",
        "Kept keys and values: error of log-probabilities by the steps since a block began",
        _since,
        "line",
        Axis("since", "steps since the block began"),
        Axis("dlogp", "mean error of a log-probability (nats)", ends="dlogp"),
        colour="way",
        panels=("model",),
        names=NAMES,
        counts=COUNTS,
        more=("same_top", "same_commit"),
        over="prompts",
    ),
    Chart(
        "saving",
        "Kept keys and values: what texts change against what is saved",
        _error,
        "points",
        Axis("saving", "tokens that needn't go through the network (%)", 100),
        Axis("edits", "edits (% of the tokens)", 100, ends="edits"),
        colour="way",
        panels=("model",),
        names=NAMES,
        counts=COUNTS,
        more=("equal",),
        over="prompts",
    ),
)


# ---------------------------------------------------------------------- comparing


def written(frame: pd.DataFrame) -> pd.DataFrame:
    """Every text against that of exact decoding."""
    saving = 1 - frame["fed"] / frame["fed_exact"]
    return frame.assign(edited=edits(frame), equal=frame["edit_distance"] == 0, saving=saving)


def erred(frame: pd.DataFrame) -> pd.DataFrame:
    """Every prompt's errors of passes that reuse something: means over its masks."""
    passes = frame[frame["since"] > 0]
    names = {"dlogp": ("dlogp_mean", "masks_asked"), "same_choice": ("same_choice", "committed")}
    names |= {"same_top": ("same_top", "masks_asked"), "same_commit": ("same_commit", "committed")}
    sums = {name: passes[value] * passes[weight] for name, (value, weight) in names.items()}
    keys = ["task", "prompt", *SERIES[1:]]
    groups = passes.assign(**sums).groupby(keys, observed=True, sort=False)
    total = groups[[*names, "masks_asked", "committed"]].sum()
    means = {name: total[name] / total[weight] for name, (_, weight) in names.items()}
    return pd.DataFrame(means).reset_index()


PAIRED = (
    Pairing(
        {
            "edited": Measure("edits (% of the tokens)", scale=100, better="less"),
            "equal": Measure("equal texts (points)", hits=True, scale=100, better="more"),
            "saving": Measure("tokens that needn't be fed (%)", scale=100, better="more"),
        },
        item=PROMPT_ITEM,
        by=("cache", "block"),
        name="texts",
        kind="answers",
        rows=written,
    ),
    Pairing(
        {
            "dlogp": Measure("error of a log-probability (nats)", better="less"),
            "same_top": Measure("same most probable token (points)", scale=100, better="more"),
            "same_commit": Measure("same token committed (points)", scale=100, better="more"),
        },
        item=PROMPT_ITEM,
        by=("cache", "block"),
        name="error",
        kind="steps",
        rows=erred,
    ),
)
