"""How well tokens' own probabilities find an error, what it does to others, and mending."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.frames import grouped, records
from mdlm_probe.analysis.pairing import PROMPT_ITEM, Measure, Pairing

TEXT = ["prompts", "lexicon", "task", "prompt", "text_length", "seed"]
BY = ["model", "reading", "error"]
NONE = "none"
PRINTED = ("detection", "mended")
UNREAD = ("right_token", "wrong_token", "rewritten_token")
UNITS = {"distance": {"rise": "nats", "offset": "tokens"}}
"""Units of columns that the rows don't have; by table."""


def tables(frame: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The report's tables by name.

    "detection", how well errors are found among the tokens of their text; "distance", the same
    among tokens so far from it, and how much less probable these are by it; "mended", what
    remasking the least probable tokens does.

    Raises:
        KeyError, ValueError: for rows that a remasking run didn't write.
    """
    frame["texts"][["text_tokens", "plant"]].apply(pd.to_numeric)
    frame["mended"][["remasked", "spoilt"]].apply(pd.to_numeric)
    pairs = compared(frame["texts"])
    found = {
        "detection": detection(pairs),
        "distance": distance(pairs),
        "mended": mended(frame["mended"], frame["texts"]),
    }
    return {name: table for name, table in found.items() if len(table)}


# ---------------------------------------------------------------------- finding


def compared(texts: pd.DataFrame) -> pd.DataFrame:
    """A row for each error and other token of its text.

    `above` is whether the error's surprisal is larger, a half where they are equal; `rise` how much
    larger the other token's is than without the error (nats); `offset` its place minus the error's.
    """
    planted, plain = texts[texts["error"] != NONE], _plain(texts)
    columns: dict[str, list[np.ndarray]] = {"offset": [], "above": [], "rise": []}
    for row in records(planted):
        values, at = _values(row["surprisals"]), int(row["error_at"])
        others = np.arange(len(values)) != at
        clean = plain.get(_text_of(row), np.full(len(values), np.nan))
        columns["offset"].append((np.arange(len(values)) - at)[others])
        above = (values[at] > values) / 2 + (values[at] >= values) / 2
        columns["above"].append(above[others])
        with np.errstate(invalid="ignore"):  # impossible before and after: no rise
            columns["rise"].append((values - clean)[others])
    if not len(planted):
        return pd.DataFrame()
    named = planted.loc[planted.index.repeat(list(map(len, columns["offset"])))]
    return (
        named[[*BY, *TEXT, "plant"]]
        .reset_index(drop=True)
        .assign(**{name: np.concatenate(own) for name, own in columns.items()})
    )


def _values(found: Any) -> np.ndarray:
    return np.array(json.loads(found) if isinstance(found, str) else found, dtype=float)


def _text_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("model", "reading", *TEXT))


def _plain(texts: pd.DataFrame) -> dict[tuple[Any, ...], np.ndarray]:
    """The surprisals of texts without an error."""
    rows = records(texts[texts["error"] == NONE])
    return {_text_of(row): _values(row["surprisals"]) for row in rows}


def by_error(pairs: pd.DataFrame) -> pd.DataFrame:
    """A row for each error: its `auroc` and its `rank` among the tokens of its text."""
    if not len(pairs):
        return pd.DataFrame()
    own = pairs.groupby([*BY, *TEXT, "plant"], observed=True, sort=False)["above"]
    return (
        own.agg(auroc="mean", others="size", higher="sum")
        .reset_index()
        .assign(rank=lambda found: found["others"] - found["higher"] + 1)
    )


def detection(pairs: pd.DataFrame) -> pd.DataFrame:
    """Every model, reading and kind of error: how well surprisal finds the error in its text.

    `auroc` is the probability that the error is less probable than another token of its text (ties
    half), the mean over texts with the interval of `stats.clustered` over texts; .5 is chance.
    `first` is the share of errors that are the least probable token of all, over texts
    (`stats.share_over`), whose chance is `first_by_chance`; `rank` the mean place of the error,
    the least probable first. `n` is the texts, `plants` their errors.
    """
    found = []
    for named, part in _groups(by_error(pairs), BY):
        texts = part["prompt"].to_numpy()
        first = (part["rank"] == 1).to_numpy(dtype=float)
        found.append(
            named
            | {"n": part["prompt"].nunique(), "plants": len(part)}
            | stats.clustered(part["auroc"].to_numpy(), texts).within(0.0, 1.0).columns("auroc")
            | stats.share_over(first, texts).columns("first")
            | {"first_by_chance": (1 / (part["others"] + 1)).mean(), "rank": part["rank"].mean()}
        )
    return pd.DataFrame(found)


def _groups(rows: pd.DataFrame, names: list[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    if len(rows):
        yield from grouped(rows, names)


def octave(offsets: pd.Series) -> np.ndarray:
    """Distances in octaves, the nearest of each, with their sign: 4 stands for 4 to 7."""
    size = 2 ** np.floor(np.log2(offsets.abs().to_numpy()))
    signed: np.ndarray = (np.sign(offsets.to_numpy()) * size).astype(int)
    return signed


def distance(pairs: pd.DataFrame) -> pd.DataFrame:
    """Every model, reading, kind of error and distance: what an error does to the tokens there.

    `offset` is negative left of the error, in octaves: 4 stands for 4 to 7 tokens to the right.
    `auroc` is that of the error against tokens there; `rise` the mean of how much their surprisal
    grows by the error (nats). Intervals as of `auroc` in "detection".
    """
    if not len(pairs):
        return pairs
    found = []
    near = pairs.assign(offset=octave(pairs["offset"])).sort_values("offset", kind="stable")
    for named, part in _groups(near, [*BY, "offset"]):
        each = part.groupby([*TEXT, "plant"], observed=True)[["above", "rise"]].mean()
        each = each.reset_index()
        known = each[np.isfinite(each["rise"])]
        rise = stats.clustered(known["rise"].to_numpy(), known["prompt"].to_numpy())
        area = stats.clustered(each["above"].to_numpy(), each["prompt"].to_numpy())
        found.append(
            named
            | {"n": each["prompt"].nunique(), "plants": len(each)}
            | area.within(0.0, 1.0).columns("auroc")
            | rise.columns("rise")
        )
    table = pd.DataFrame(found)
    order = {name: n for n, name in enumerate(pairs["model"].unique())}
    return table.sort_values("model", key=lambda c: c.map(order), kind="stable", ignore_index=True)


# ---------------------------------------------------------------------- mending


def mended(rows: pd.DataFrame, texts: pd.DataFrame) -> pd.DataFrame:
    """Every model, reading, kind of error and number of tokens: what remasking them does.

    `found` is the share of errors among the remasked tokens (by chance `found_by_chance`);
    `restored` that of errors in whose place the text's own token is again; `other` that of errors
    which were remasked and now have another token that fits, of errors in texts of the small
    language alone (empty: there are none). `spoilt` is the mean number of right tokens that came
    back as others. Shares over texts (`stats.share_over`), amounts with `stats.amount`. `error`
    none is a text without one: all that remasking can do there is to spoil it.
    """
    found = []
    sizes = texts.drop_duplicates([*BY, *TEXT, "plant"])[[*BY, *TEXT, "plant", "text_tokens"]]
    rows = rows.merge(sizes, on=[*BY, *TEXT, "plant"], how="left") if len(rows) else rows
    for named, part in _groups(rows, [*BY, "remasked"]):
        names = part["prompt"].to_numpy()
        spoilt = part.groupby("prompt", observed=True)["spoilt"].mean().to_numpy()
        line = named | {"n": part["prompt"].nunique(), "plants": len(part)}
        if named["error"] != NONE:
            hits = {name: part[name].to_numpy(dtype=float) for name in ("found", "restored")}
            for name, own in hits.items():
                line |= stats.share_over(own, names).columns(name)
            line["found_by_chance"] = (part["remasked"] / part["text_tokens"]).mean()
            line["other"] = _other(part)
        found.append(line | stats.amount(spoilt).columns("spoilt"))
    return pd.DataFrame(found)


def _other(part: pd.DataFrame) -> float:
    """The share of errors in whose place another token fits the small language."""
    if "in_language" not in part:
        return float("nan")
    known = part[part["in_language"].notna()]
    valid = known["in_language"].astype(float) * known["found"].astype(float)
    return float((valid * (1 - known["restored"].astype(float))).mean())


# ---------------------------------------------------------------------- comparing


def found_errors(texts: pd.DataFrame) -> pd.DataFrame:
    """A row for each error, with its `auroc`, keeping all coordinates."""
    made = by_error(compared(texts))
    if not len(made):
        return texts.iloc[:0].assign(auroc=[])
    kept = texts[texts["error"] != NONE]
    return kept.merge(made[[*BY, *TEXT, "plant", "auroc"]], on=[*BY, *TEXT, "plant"])


def rewritten(rows: pd.DataFrame) -> pd.DataFrame:
    """Mended texts that had an error."""
    return rows[rows["error"] != NONE]


PAIRED = (
    Pairing(
        {"auroc": Measure("AUROC of finding the error (points)", scale=100, better="more")},
        item=(*PROMPT_ITEM, "plant"),
        by=("error", "reading"),
        cluster="prompt",
        name="detection",
        kind="texts",
        rows=found_errors,
    ),
    Pairing(
        {
            "restored": Measure("errors mended (points)", hits=True, scale=100, better="more"),
            "spoilt": Measure("right tokens spoilt", better="less"),
        },
        item=(*PROMPT_ITEM, "plant"),
        by=("error", "reading", "remasked"),
        cluster="prompt",
        name="mended",
        kind="mended",
        rows=rewritten,
    ),
)
