"""What a shift by one place costs: by loss, by share of masks, and by distance from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.frames import by_value
from mdlm_probe.analysis.pairing import PROMPT_ITEM, Measure, Pairing
from mdlm_probe.analysis.stats import corrected

ITEM = ["prompts", "lexicon", "task", "prompt", "length", "source_text", "point", "seed"]
SETTING = ["masked_share", "tail_shown"]
LOSSES = ("cross_entropy", "flexible", "flexible_slack")
UNMOVED = "unmoved"

PRINTED = ("penalties",)
UNREAD = ("answer",)
PER_TOKEN = "nats per token"
UNITS = {
    "penalties": dict.fromkeys(("penalty", "flexible_penalty", "slack_penalty"), PER_TOKEN)
    | {"total": "nats", "flexible_ratio": ""},
    "repeats": dict.fromkeys(("moved_penalty", "distinct_penalty"), PER_TOKEN)
    | {"equal_share": "share"},
    "losses": dict.fromkeys(LOSSES, PER_TOKEN),
    "curve": {"token_ce": "nats"},
}
"""Units of columns that the rows don't have, or have in another one; by table."""


def tables(frame: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The report's tables by name.

    "penalties", what a target costs more than the unmoved one; "repeats", the same over moved
    tokens, with and without those that stand there anyhow; "losses", what each costs by each loss;
    "curve", the cross-entropy by distance from the point.

    Raises:
        KeyError, ValueError: for rows that an alignment run didn't write.
    """
    frame["targets"][["masked_share", "scored", *LOSSES]].apply(pd.to_numeric)
    frame["tokens"][["from_point", "ce_unmoved"]].apply(pd.to_numeric)
    found = {
        "penalties": penalties(frame["targets"]),
        "repeats": repeats(frame["tokens"]),
        "losses": losses(frame["targets"]),
        "curve": curve(frame["tokens"]),
    }
    return {name: table for name, table in found.items() if len(table)}


def notes(frame: dict[str, pd.DataFrame]) -> list[str]:
    """How many texts were too short to be cut in two."""
    found = []
    for model, rows in frame["answers"].groupby("model", observed=True, sort=False):
        if short := int(rows["tail_begins"].isna().sum()):
            found.append(f"{model}: {short} of {len(rows)} texts are too short to have a tail.")
    return found


def _settings(rows: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The rows of each model, share of masks, and what is visible among them."""
    for model, own in rows.groupby("model", observed=True, sort=False):
        for share, part in by_value(own, "masked_share"):
            for shown, some in part.groupby("tail_shown", observed=True, sort=False):
                where = {"model": model, "masked_share": share, "tail_shown": shown}
                yield where, some


# ---------------------------------------------------------------------- by target


def per_token(targets: pd.DataFrame) -> pd.DataFrame:
    """Each loss of each target by scored token, and what it is more than the unmoved one's.

    Targets none of whose masks has a label are left out.
    """
    rows = targets[targets["scored"] > 0].reset_index(drop=True)
    keys = ["model", *ITEM, *SETTING]
    for loss in LOSSES:
        rows[loss] = pd.to_numeric(rows[loss]).astype(float) / rows["scored"]
    plain = rows[rows["target"] == UNMOVED].set_index(keys)[list(LOSSES)]
    both = rows.join(plain.add_suffix("_unmoved"), on=keys)
    names = {
        "cross_entropy": "penalty",
        "flexible": "flexible_penalty",
        "flexible_slack": "slack_penalty",
    }
    more = {new: both[loss] - both[f"{loss}_unmoved"] for loss, new in names.items()}
    return both.assign(**more)


def losses(targets: pd.DataFrame) -> pd.DataFrame:
    """What every target costs, in nats per scored token, by cross-entropy and by flexible losses.

    Means over texts, with the interval of `stats.amount`.
    """
    found = []
    for where, part in _settings(per_token(targets)):
        for target, own in part.groupby("target", observed=True, sort=False):
            line = where | {"target": target, "n": len(own)}
            for loss in LOSSES:
                line |= stats.amount(own[loss].dropna().to_numpy()).columns(loss)
            found.append(line)
    return pd.DataFrame(found)


def penalties(targets: pd.DataFrame) -> pd.DataFrame:
    """What every target costs more than the unmoved one.

    `penalty` is the mean cross-entropy at the masks with a label minus that of the unmoved target,
    which training on the moved target would charge; `total` is that times the labels, of a text.
    `flexible_penalty` and `slack_penalty` are by these losses, `flexible_ratio` is the former over
    `penalty` where that is above 0 (bootstrap). T intervals and tests over texts; `penalty_holm` is
    corrected for a model's rows.
    """
    found = []
    for where, part in _settings(per_token(targets)):
        for target, own in part.groupby("target", observed=True, sort=False):
            if target == UNMOVED:
                continue
            price = stats.mean(own["penalty"].to_numpy())
            line = where | {"target": target, "n": len(own)}
            line |= price.columns("penalty") | {"penalty_p": price.p}
            line |= stats.mean((own["penalty"] * own["scored"]).to_numpy()).columns("total")
            found.append(line | _flexible(own, price))
    return corrected(pd.DataFrame(found), ["penalty"])


def _flexible(own: pd.DataFrame, price: stats.Estimate) -> dict[str, float]:
    """What the flexible losses charge more, and how much of the cross-entropy's that is."""
    line = stats.mean(own["flexible_penalty"].to_numpy()).columns("flexible_penalty")
    if price.low > 0:
        both = own[["flexible_penalty", "penalty"]].to_numpy()
        line |= stats.bootstrap(both, lambda m: m[..., 0] / m[..., 1]).columns("flexible_ratio")
    return line | stats.mean(own["slack_penalty"].dropna().to_numpy()).columns("slack_penalty")


def repeats(tokens: pd.DataFrame) -> pd.DataFrame:
    """What moved tokens cost more, with and without those that stand there anyhow.

    Over tokens that the target and the unmoved one both score, so without the other token.
    `equal_share` of them are what stands at their new place in the unmoved text, too;
    `distinct_penalty` leaves these out. Means of texts' means, t intervals over texts.
    """
    found = []
    for where, part in _settings(tokens):
        for target, equal in (("right", "right"), ("left", "left"), ("inserted", "right")):
            rows = part[part["from_point"] > 0].dropna(subset=["ce_unmoved", f"ce_{target}"])
            if not len(rows):
                continue
            more = rows.assign(
                more=rows[f"ce_{target}"] - rows["ce_unmoved"],
                equal=rows[f"equal_{equal}"].astype(float),
            )
            price = _by_text(more)
            line = where | {"target": target, "n": price.n} | price.columns("moved_penalty")
            line["equal_share"] = more["equal"].mean()
            distinct = _by_text(more[more["equal"] == 0])
            found.append(line | distinct.columns("distinct_penalty"))
    return pd.DataFrame(found)


def _by_text(rows: pd.DataFrame) -> stats.Estimate:
    return stats.mean(rows.groupby(ITEM, observed=True, sort=False)["more"].mean().to_numpy())


# ---------------------------------------------------------------------- by distance


def curve(tokens: pd.DataFrame) -> pd.DataFrame:
    """The cross-entropy of every target by distance from the point, in nats.

    `from_point` counts the tail's tokens from 1; 0 is the other token, inserted or replacing. Where
    labels alone are moved it counts slots. Means over the texts that have such a token, with the
    interval of `stats.amount`.
    """
    found = []
    names = [str(name) for name in tokens if str(name).startswith("ce_")]
    for where, part in _settings(tokens):
        for name in names:
            for number, own in by_value(part.dropna(subset=[name]), "from_point"):
                line = where | {"target": name.removeprefix("ce_"), "from_point": int(number)}
                line |= {"n": len(own)}
                found.append(line | stats.amount(own[name].to_numpy()).columns("token_ce"))
    return pd.DataFrame(found)


# ---------------------------------------------------------------------- comparing


def moved(targets: pd.DataFrame) -> pd.DataFrame:
    """Targets but the unmoved one, with what they cost more."""
    rows = per_token(targets)
    return rows[rows["target"] != UNMOVED]


def plain(targets: pd.DataFrame) -> pd.DataFrame:
    """The unmoved targets."""
    rows = per_token(targets)
    return rows[rows["target"] == UNMOVED]


BY = ("masked_share", "tail_shown", "target")
PAIRED = (
    Pairing(
        {
            "penalty": Measure("penalty by cross-entropy (nats per token)"),
            "flexible_penalty": Measure("penalty by the flexible loss (nats per token)"),
        },
        item=PROMPT_ITEM,
        by=BY,
        name="penalty",
        kind="targets",
        rows=moved,
    ),
    Pairing(
        {
            "cross_entropy": Measure("cross-entropy (nats per token)", better="less"),
            "flexible": Measure("flexible loss (nats per token)", better="less"),
        },
        item=PROMPT_ITEM,
        by=BY,
        name="unmoved",
        kind="targets",
        rows=plain,
    ),
)
