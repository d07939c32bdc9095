"""Where attention went by step, layer, kind and distance, and what removed keys changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.frames import PROMPT_COLUMNS, grouped
from mdlm_probe.analysis.pairing import PROMPT_ITEM, Measure, Pairing

PRINTED = ("steps", "removal", "contrast")
UNREAD = ("sink_text",)
UNITS = {table: {"kl": "nats"} for table in ("removal", "contrast")}
"""Units of columns that the rows don't have, or have in another one; by table."""
EFFECTS = {"kl": "removed_kl", "tv": "removed_tv", "top_changed": "removed_top"}
REMOVED = ("strongest", "control")
ORDER = {"masks": 0, "prompt": 1, "written": 2, "itself": 3}
"""The order of groups."""


def tables(frame: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The report's tables by name.

    "steps" and "layers": how far the strongest key is beyond an even share, by progress of the
    decoding and by layer; "kinds" of sinks; where masks' attention goes, by "groups" and
    "distances"; what "removal" of keys changes, and of the strongest beyond others: "contrast".

    Raises:
        KeyError, ValueError: for rows that an attention run didn't write.
    """
    layers = frame["layers"]
    layers[["progress", "layer", "sinks", "received", "even_received"]].apply(pd.to_numeric)
    layers = layers.assign(beyond_even=layers["received"] - layers["even_received"])
    return {
        "steps": pd.DataFrame(list(_by(layers, "progress"))),
        "layers": pd.DataFrame(list(_by(layers, "layer"))),
        "kinds": kinds(layers),
        "groups": attended(frame["groups"], ("progress", "attended")),
        "distances": attended(frame["distances"], ("attended_distance",)),
        "removal": removal(frame["removals"]),
        "contrast": contrast(frame["removals"]),
    }


def _by(layers: pd.DataFrame, name: str) -> Iterator[dict[str, Any]]:
    """A line for each model and value: means of the prompts' means, intervals over prompts.

    `beyond_even`: attention that the strongest key receives less its even share, where the mean of
    all keys is 1; `sinks`: sinks a layer; `sink_heads`: heads in which the strongest key of the
    layer is the strongest, too. Of layers with a sink alone: `sink_from_prompt` and `moved`, with
    the prompts that have such, `n_sinks` and `n_moved`.
    """
    for named, rows in grouped(layers, ("model", name)):
        sinks = rows[rows["sinks"] > 0]
        places, moved = _means(sinks, "sink_from_prompt"), _means(sinks, "moved")
        prompts = rows["sink_place"] - rows["sink_from_prompt"]
        ends = -float(prompts.max()), float((rows["tokens"] - prompts).max())
        yield (
            named
            | {"n": len(_means(rows, "sinks"))}
            | stats.amount(_means(rows, "beyond_even")).columns("beyond_even")
            | stats.amount(_means(rows, "sinks")).columns("sinks")
            | {"sink_heads": float(_means(rows, "sink_heads").mean())}
            | {"n_sinks": len(places)}
            | stats.mean(places).within(*ends).columns("sink_from_prompt")
            | {"n_moved": len(moved)}
            | stats.amount(moved, float(rows["tokens"].max())).columns("moved")
        )


def kinds(layers: pd.DataFrame) -> pd.DataFrame:
    """What sinks are: of the layers and passes that have one, the share whose strongest is of a
    kind, the mean over prompts; `punctuation` is the share of these that is nothing else.
    """
    rows = []
    for named, own in grouped(layers[layers["sinks"] > 0], ("model",)):
        for kind in own["sink_kind"].drop_duplicates():
            there = own.assign(sink_share=(own["sink_kind"] == kind).astype(float))
            share = stats.mean(_means(there, "sink_share")).within(0.0, 1.0)
            signs = own.loc[own["sink_kind"] == kind, "sink_punctuation"].astype(float).mean()
            rows.append(
                named
                | {"sink_kind": kind, "n": len(_means(there, "sink_share"))}
                | share.columns("sink_share")
                | {"punctuation": float(signs)}
            )
    return pd.DataFrame(rows)


def attended(rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Shares of the masks' attention, means over prompts, beside those of even attention.

    `times_even` is the one over the other: of their means, with a bootstrap over prompts. Where
    there are many masks, much attention goes to masks whatever the network does.
    """
    found = []
    if "attended" in rows:  # in one order, whichever group a model has first
        rows = rows.sort_values("attended", key=lambda c: c.astype(str).map(ORDER), kind="stable")
    for named, own in grouped(rows, ("model", *names)):
        both = np.stack([_means(own, n) for n in ("attention", "even_attention")], axis=1)
        ratio = stats.bootstrap(both, lambda m: m[..., 0] / m[..., 1], (0.0, np.inf))
        found.append(
            named
            | {"n": len(both)}
            | stats.amount(both[:, 0], 1.0).columns("attention")
            | {"even_attention": float(both[:, 1].mean())}
            | ratio.columns("times_even")
        )
    return pd.DataFrame(found)


def removal(rows: pd.DataFrame) -> pd.DataFrame:
    """What removing a key of each layer changes: means of the prompts' means over their passes.

    Of each layer's strongest key, and of other keys of the same regions (control). `truth_lost` is
    of the first pass alone.
    """
    found = []
    for named, own in grouped(rows, ("model", "removed")):
        table = _effects(own)
        line = named | {"n": len(table)}
        for column in map(str, table.columns):
            one = table[column].dropna().to_numpy()
            signed = column == "truth_lost"
            line |= (stats.mean(one) if signed else stats.amount(one)).columns(column)
        found.append(line)
    return pd.DataFrame(found)


def contrast(rows: pd.DataFrame) -> pd.DataFrame:
    """What removing the strongest keys changes beyond what removing others does.

    The same measures, strongest minus control of the same prompts; t intervals and tests, `_holm`
    corrected for a measure's models.
    """
    found = []
    for named, own in grouped(rows, ("model",)):
        parts = {str(name): _effects(part) for name, part in own.groupby("removed", observed=True)}
        if len(parts) < len(REMOVED):
            continue
        gap = (parts[REMOVED[0]] - parts[REMOVED[1]]).dropna(how="all")
        line = named | {"n": len(gap)}
        for column in map(str, gap.columns):
            tested = stats.mean(gap[column].dropna().to_numpy())
            line |= tested.columns(column) | {f"{column}_p": tested.p}
        found.append(line)
    table = pd.DataFrame(found)
    return stats.corrected(table, [c[:-2] for c in map(str, table.columns) if c.endswith("_p")])


def _effects(rows: pd.DataFrame) -> pd.DataFrame:
    """Each prompt's means, by effect."""
    known = {name: column for name, column in EFFECTS.items() if column in rows}
    known |= {"truth_lost": "truth_lost"} if "truth_lost" in rows else {}
    means = rows.groupby(PROMPT_COLUMNS, observed=True)[list(known.values())].mean()
    return means.rename(columns={column: name for name, column in known.items()})


def _means(rows: pd.DataFrame, name: str) -> np.ndarray:
    """A prompt's mean, for each prompt that has any."""
    found: np.ndarray = (
        rows.dropna(subset=[name]).groupby(PROMPT_COLUMNS, observed=True)[name].mean().to_numpy()
    )
    return found


# ---------------------------------------------------------------------- comparing


def _strongest(frame: pd.DataFrame) -> pd.DataFrame:
    """Every prompt's strongest keys at each progress: means over layers."""
    beyond = frame.assign(beyond_even=frame["received"] - frame["even_received"])
    keys = ["task", "prompt", "progress"]
    found = beyond.groupby(keys, observed=True, sort=False)[["beyond_even", "sinks"]].mean()
    return found.reset_index()


def _removed(frame: pd.DataFrame) -> pd.DataFrame:
    """Every prompt's means over its passes."""
    keys = ["task", "prompt", "removed"]
    groups = frame.groupby(keys, observed=True, sort=False)
    return groups[["removed_kl", "removed_top"]].mean().reset_index()


PAIRED = (
    Pairing(
        {
            "beyond_even": Measure("attention on the strongest key beyond its even share"),
            "sinks": Measure("sinks a layer"),
        },
        item=PROMPT_ITEM,
        by=("progress",),
        name="sinks",
        kind="layers",
        rows=_strongest,
    ),
    Pairing(
        {
            "removed_kl": Measure("divergence without the keys (nats)"),
            "removed_top": Measure("other most probable tokens (points)", scale=100),
        },
        item=PROMPT_ITEM,
        by=("removed",),
        name="removal",
        kind="removals",
        rows=_removed,
    ),
)
