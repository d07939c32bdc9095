"""What the right side of a span is worth: gains, their controls, and shares of the exact gain."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.pairing import PROMPT_ITEM, Measure, Pairing
from mdlm_probe.analysis.row_parts import parts

EXACT = "oracle"
"""The model whose likelihoods are those of the bundled language."""
LEAST = 0.01
"""Nats a token that there must be to gain, for a share of it. Ours."""
TEXT = ["task", "prompt"]
WAY = ["beyond", "chain_order", "span_tokens"]
SIDE = ["right_from", "right_amount"]
NOTHING = "none"

PRINTED = ("overview",)
PER_TOKEN = "nats per token"
LEVELS = ("left_per_token", "both_per_token")
UNITS = {
    "overview": dict.fromkeys((*LEVELS, "gain", "over_foreign"), PER_TOKEN),
    "gain": dict.fromkeys((*LEVELS, "gain"), PER_TOKEN),
    "control": dict.fromkeys(("own_gain", "foreign_gain", "over_foreign"), PER_TOKEN),
    "share": dict.fromkeys(("exact_gain", "below_left", "below_both"), PER_TOKEN),
    "places": {"place_gain": "nats"},
}
"""Units of columns that the rows don't have, or have in another one; by table."""


def tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The report's tables by name, of what was measured.

    The "overview" of every span with all that was shown, the "gain" of every right side, the
    "control": own tokens against another text's, the "share" of the exact gain, and the gain by the
    token's "places" in the span.

    Raises:
        KeyError, ValueError: for rows that a context run didn't write.
    """
    rows = gained(frame)
    found = {
        "overview": overview(rows),
        "gain": gain(rows),
        "control": control(rows),
        "share": share(rows),
        "places": places(rows),
    }
    return {name: table for name, table in found.items() if len(table)}


def gained(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows that have a likelihood, with `value`, it per token, `left`, that of the same span with
    nothing at its right, and their difference, `gain`.
    """
    rows = frame.dropna(subset=["logp"])
    rows = rows.assign(value=pd.to_numeric(rows["logp"]) / pd.to_numeric(rows["text_tokens"]))
    names = ["model", *WAY, *TEXT]
    alone = rows[rows["right_from"] == NOTHING].drop_duplicates(names)
    left = alone[[*names, "value", "token_logps"]]
    left = left.rename(columns={"value": "left", "token_logps": "left_logps"})
    rows = rows.merge(left, on=names, how="left")
    return rows.assign(gain=rows["value"] - rows["left"])


def _ways(rows: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The rows of each model, task, and span with what it was asked with."""
    for named, part in parts(rows):
        for way, own in part.groupby(WAY, observed=True, sort=False):
            yield named | dict(zip(WAY, way, strict=True)), own


def _sides(own: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The rows of each right side but nothing."""
    for side, part in own[own["right_from"] != NOTHING].groupby(SIDE, observed=True, sort=False):
        yield dict(zip(SIDE, side, strict=True)), part


def overview(rows: pd.DataFrame) -> pd.DataFrame:
    """Every model, task and span, with all that was shown: given the left alone, and both sides.

    `left_per_token` and `both_per_token` are of the same texts, `gain` their difference.
    `over_foreign` is the gain minus that by as many tokens of another text, `of_exact` the share of
    the exact gain (see `share`). A causal model has the first alone. T intervals over texts, those
    of differences paired; `_holm` as in `gain`.
    """
    found = []
    most = _most(rows)
    known = most[(most["model"] == EXACT) & (most["right_from"] == "own")]
    exact = known.set_index([*WAY, *TEXT])["gain"].rename("exact_gain")
    for named, own in _ways(most):
        line = named | {"n": own[TEXT].drop_duplicates().shape[0]}
        shown = own[own["right_from"] == "own"].set_index(TEXT)
        if not len(shown):
            alone = own.loc[own["right_from"] == NOTHING, "value"]
            found.append(line | stats.mean(alone.to_numpy()).columns("left_per_token"))
            continue
        line |= {"right_shown": shown["right_shown"].mean(), "n": len(shown)}
        line |= stats.mean(shown["left"].to_numpy()).columns("left_per_token")
        line |= stats.mean(shown["value"].to_numpy()).columns("both_per_token")
        line |= _tested("gain", shown["gain"])
        foreign = own[own["right_from"] == "foreign"].set_index([*TEXT, "right_shown"])
        if len(foreign):
            pairs = shown.join(foreign["gain"].rename("other"), on=[*TEXT, "right_shown"])
            line |= _tested("over_foreign", (pairs["gain"] - pairs["other"]).dropna())
        if named["model"] != EXACT and len(exact):
            both = shown.reset_index().join(exact, on=[*WAY, *TEXT]).dropna(subset=["exact_gain"])
            line |= _realised(both).columns("of_exact")
        found.append(line)
    return _corrected(pd.DataFrame(found), ["gain", "over_foreign"])


def _most(rows: pd.DataFrame) -> pd.DataFrame:
    """Of every span and source the row with the most tokens shown."""
    keys = ["model", *WAY, *TEXT, "right_from"]
    at: pd.Series = rows.groupby(keys, observed=True, sort=False)["right_shown"].idxmax()
    return rows.loc[at.sort_values()]


def gain(rows: pd.DataFrame) -> pd.DataFrame:
    """Every model, task, span and right side: what it adds to the span's log-likelihood.

    `gain` is `both_per_token` (with the right side) minus `left_per_token` (without), paired by
    text, with t intervals and tests over the `n` texts that are long enough; `gain_holm` are
    p-values that Holm's method corrects over the rows of a model and task. `right_shown` is the
    mean of the tokens seen.
    """
    found = []
    for named, own in _ways(rows):
        for side, part in _sides(own):
            line = named | side | {"right_shown": part["right_shown"].mean(), "n": len(part)}
            line |= {"left_per_token": part["left"].mean(), "both_per_token": part["value"].mean()}
            found.append(line | _tested("gain", part["gain"]))
    return _corrected(pd.DataFrame(found), ["gain"])


def control(rows: pd.DataFrame) -> pd.DataFrame:
    """Every model, task, span and amount: the gain by own tokens against another text's.

    `over_foreign` is the gain by the text's own tokens minus that by as many of another text,
    paired by text: what the tokens say, and not that there are some. T intervals and tests over
    texts; `over_foreign_holm` as in `gain`.
    """
    found = []
    for named, own in _ways(rows):
        wide = own.pivot_table(
            index=TEXT, columns=SIDE, values="gain", observed=True, sort=False, aggfunc="first"
        )
        sources = set(wide.columns.get_level_values(0))
        if not {"own", "foreign"} <= sources:
            continue
        for amount in wide["own"]:
            if amount not in wide["foreign"]:
                continue
            both = wide[[("own", amount), ("foreign", amount)]].dropna()
            if not len(both):
                continue
            mine, other = (both.iloc[:, at] for at in (0, 1))
            line = named | {"right_amount": amount, "n": len(both)}
            line |= {"own_gain": mine.mean(), "foreign_gain": other.mean()}
            found.append(line | _tested("over_foreign", mine - other))
    return _corrected(pd.DataFrame(found), ["over_foreign"])


def share(rows: pd.DataFrame) -> pd.DataFrame:
    """Every model's share of the gain that there is, where the exact reader was asked, too.

    `exact_gain` is the mean of log p(span | both) - log p(span | left) under the language itself:
    pointwise mutual information. `of_exact` is the mean gain over it, on the same texts, with a
    bootstrap interval over texts (`stats.bootstrap`, from 12 on); none is given where the exact
    gain's own interval reaches below `LEAST`: a share of nothing says nothing. A model can have
    more than all: by a span that it knew badly without its right side. So `below_left` and
    `below_both` say how far its log-likelihood is below the exact one, without and with it.
    """
    if EXACT not in set(rows["model"]):
        return pd.DataFrame()
    keys = [*WAY, *SIDE, *TEXT]
    names = {"gain": "exact_gain", "value": "exact_value", "left": "exact_left"}
    exact = rows[rows["model"] == EXACT].rename(columns=names)[[*keys, *names.values()]]
    both = rows[(rows["model"] != EXACT) & (rows["right_from"] == "own")].merge(exact, on=keys)
    found = []
    for named, own in _ways(both):
        for side, part in _sides(own):
            line = named | {"right_amount": side["right_amount"]}
            line |= {"right_shown": part["right_shown"].mean(), "n": len(part)}
            line |= stats.mean(part["exact_gain"].to_numpy()).columns("exact_gain")
            line |= _realised(part).columns("of_exact")
            for name, value in (("left", "left"), ("both", "value")):
                below = stats.mean((part[f"exact_{value}"] - part[value]).to_numpy())
                line |= below.columns(f"below_{name}")
            found.append(line)
    return pd.DataFrame(found)


def _realised(part: pd.DataFrame) -> stats.Estimate:
    """The ratio of mean gains; nothing where it isn't certain that there is anything to gain."""
    if not stats.mean(part["exact_gain"].to_numpy()).low > LEAST:
        return stats.Estimate(np.nan, np.nan, np.nan, len(part))
    pairs = part[["gain", "exact_gain"]].to_numpy(dtype=float)
    return stats.bootstrap(pairs, lambda means: means[..., 0] / means[..., 1])


def places(rows: pd.DataFrame) -> pd.DataFrame:
    """Every model, task and span: the gain by the token's place, with all own tokens shown.

    In nats, t intervals over texts. From left to right each token is given those before it, and the
    rest of the span is masked: so the last one stands next to the right side.
    """
    found = []
    most = _most(rows[rows["right_from"] == "own"])
    for named, own in _ways(most):
        both = _by_place(own["token_logps"]) - _by_place(own["left_logps"])
        for place in range(both.shape[1]):
            values = both[:, place][~np.isnan(both[:, place])]
            line = named | {"place": place + 1, "n": len(values)}
            found.append(line | stats.mean(values).columns("place_gain"))
    return pd.DataFrame(found)


def _by_place(lists: Iterable[Any]) -> np.ndarray:
    """Lists of numbers as rows, [texts, places]; NaN where a shorter one has no more."""
    read = [json.loads(one) if isinstance(one, str) else one for one in lists]
    found = np.full((len(read), max(map(len, read), default=0)), np.nan)
    for row, values in zip(found, read, strict=True):
        row[: len(values)] = values
    return found


def _tested(name: str, values: pd.Series) -> dict[str, float]:
    found = stats.mean(values.to_numpy())
    return found.columns(name) | {f"{name}_p": found.p}


def _corrected(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Adds Holm's p-values, over the lines of a model and task."""
    if not len(table) or f"{names[0]}_p" not in table:
        return table
    found = table.copy()
    for name in (name for name in names if f"{name}_p" in table):
        for _, part in table.groupby(["model", "task"], observed=True, sort=False):
            found.loc[part.index, f"{name}_holm"] = stats.holm(part[f"{name}_p"].to_numpy())
    return found


def notes(frame: pd.DataFrame) -> list[str]:
    """Says how many texts end before a span does."""
    found = []
    short = frame[frame["logp"].isna()]
    for (model, span), part in short.groupby(["model", "span_tokens"], observed=True, sort=False):
        count = part[TEXT].drop_duplicates().shape[0]
        found.append(f"{model}: {count} texts end within a span of {span} tokens: left out")
    return found


def _compared(frame: pd.DataFrame) -> pd.DataFrame:
    """Right sides of every text, with `value` and `gain`, and the left alone, without a gain."""
    rows = gained(frame)
    return rows.assign(gain=rows["gain"].where(rows["right_from"] != NOTHING))


PAIRED = (
    Pairing(
        {
            "gain": Measure("gained by the right side (nats per token)"),
            "value": Measure("log-likelihood of the span (nats per token)", better="more"),
        },
        item=PROMPT_ITEM,
        by=("span_tokens", "right_from", "right_amount"),
        rows=_compared,
        free=("right_amounts", "right_sources"),
    ),
)
