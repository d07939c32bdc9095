"""What moved tokens cost: harm against the fraction, beside controls, and how far damage runs.

Prompts are the independent units: every interval and test is over prompts. Shares, exact matches
and edit distances are in percent, likelihoods in nats per token of the scorer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.pairing import PROMPT_ITEM, Measure, Pairing
from mdlm_probe.analysis.stats import corrected
from mdlm_probe.decoding.canvas import NO_INTERVENTION

SERIES = ["model", "intervention", "frac"]
CONTROLS = ("post-hoc", "replace", "hold")
NUMBERS = (
    *("frac", "answer_tokens", "nll", "scorer_tokens", "correct", "offered", "hits", "changed"),
    *("blocked", "to_right", "to_left", "refilled", "doubled", "visible", "edit_distance"),
    *("divergence", "parted_8", "parted_32", "cascade"),
)
PRINTED = ("unintervened", "harm", "compounding", "trend")
UNITS = {
    "unintervened": dict.fromkeys(("ended", "correct"), "%") | {"nats": "nats per token"},
    "harm": dict.fromkeys(("realised", "edit", "differ"), "%")
    | {"nats": "nats per token", "correct": "points"},
    "compounding": dict.fromkeys(("realised", "control"), "%")
    | dict.fromkeys(("edit", "correct"), "points")
    | {"nats": "nats per token"},
    "trend": {"nats": "nats per token and %", "edit": "points per %"},
    "cascade": dict.fromkeys(("parted_8", "parted_32"), "%"),
    "moves": dict.fromkeys(
        ("blocked", "to_right", "to_left", "refilled", "doubled", "visible"), "%"
    ),
}
"""Units of columns that the rows don't have, or have in another one; by table."""

NOTHING = stats.Estimate(np.nan, np.nan, np.nan, 0)


def tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The report's tables by name; every interval and test is over prompts.

    "unintervened" for the answers as they are, "harm" against them, "compounding" of a shift
    against the controls, "trend" over the realised share, "cascade" for how damage runs on, "moves"
    for what became of the hits.

    Raises:
        KeyError, ValueError: for rows that a shift run didn't write.
    """
    rows = compared(frame)
    return {
        "unintervened": unintervened(rows),
        "harm": harm(rows),
        "compounding": compounding(rows),
        "trend": trend(rows),
        "cascade": cascade(rows),
        "moves": moves(rows),
    }


def compared(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows beside the unintervened answer to their prompt.

    New columns: `by_token` is nats per token of the scorer, `nats` the same above the unintervened
    answer's; `edit` is the edit distance per token of the longer answer, in percent; `differs`
    whether the answers differ; `plain_correct` is the unintervened answer's.
    """
    rows = frame.assign(**{name: pd.to_numeric(frame[name]) for name in NUMBERS})
    rows["by_token"] = rows["nll"] / rows["scorer_tokens"].where(rows["scorer_tokens"] > 0)
    plain = rows.loc[
        rows["intervention"] == NO_INTERVENTION,
        ["model", "prompt", "by_token", "answer_tokens", "correct"],
    ].set_index(["model", "prompt"])
    rows = rows.join(plain.add_prefix("plain_"), on=["model", "prompt"])
    rows["nats"] = rows["by_token"] - rows["plain_by_token"]
    longer = rows[["answer_tokens", "plain_answer_tokens"]].max(axis=1)
    rows["edit"] = 100 * rows["edit_distance"] / longer.clip(lower=1)
    rows["differs"] = rows["edit_distance"] > 0
    return rows


def grouped(rows: pd.DataFrame, names: list[str]) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """The groups of intervened rows, each with its coordinates by name, in order of appearance."""
    changed = rows[rows["intervention"] != NO_INTERVENTION]
    found = changed.groupby(names, observed=True, sort=False)
    return [(dict(zip(names, key, strict=True)), part) for key, part in found]


# ---------------------------------------------------------------------- estimates


def _mean(values: pd.Series) -> stats.Estimate:
    """The t interval of what is there."""
    values = values.dropna()
    return stats.mean(values.to_numpy()) if len(values) else NOTHING


def _amount(values: pd.Series, most: float = np.inf) -> stats.Estimate:
    """The mean of what is there, none of it negative, with its interval."""
    return stats.amount(values.dropna().to_numpy(), most)


def _ratio(part: pd.DataFrame, top: str, bottom: str, most: float = 1.0) -> stats.Estimate:
    """The sum of a column over that of another, with a bootstrap interval over prompts.

    Prompts where the lower one is 0 add nothing to either, and are left out. The ratio can't leave
    0..`most`.
    """
    pairs = part.loc[part[bottom] > 0, [top, bottom]].dropna().to_numpy(dtype=float)
    if not len(pairs):
        return NOTHING
    return stats.bootstrap(pairs, lambda means: means[..., 0] / means[..., 1], (0.0, most))


def _hits(first: pd.Series, second: pd.Series) -> stats.Estimate:
    """A difference of exact matches: the t interval, sign test."""
    both = pd.concat([first, second], axis=1).dropna().to_numpy()
    return stats.paired_hits(both[:, 0], both[:, 1]) if len(both) else NOTHING


def _line(
    name: str, found: stats.Estimate, scale: float = 1, within: tuple[float, float] | None = None
) -> dict[str, float]:
    scaled = found.times(scale)
    return (scaled.within(*within) if within else scaled).columns(name)


def _corrected(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Adds Holm's p-values, over a model's rows; a fraction of 0 tests nothing."""
    for name in names:
        if f"{name}_p" in table:
            table[f"{name}_p"] = table[f"{name}_p"].where(table["frac"] > 0)
    return corrected(table, [name for name in names if f"{name}_p" in table])


# ---------------------------------------------------------------------- tables


def unintervened(rows: pd.DataFrame) -> pd.DataFrame:
    """The answers that all others are compared with.

    `tokens` is their mean length, `ended` and `correct` are percent of them (Wilson's intervals;
    `correct` of the prompts that have a right answer), `nats` is the mean over prompts of nats by
    token of the scorer (t interval), `perplexity` its exponential.
    """
    found = []
    for model, part in rows[rows["intervention"] == NO_INTERVENTION].groupby("model", sort=False):
        nats, right = _mean(part["by_token"]), part["correct"].dropna()
        line = {"model": model, "prompts": len(part), "tokens": part["answer_tokens"].mean()}
        line |= _line("ended", stats.proportion(part["ended"].to_numpy()), 100)
        line |= _line("nats", nats) | {"perplexity": float(np.exp(nats.mean))}
        if len(right):
            line |= _line("correct", stats.proportion(right.to_numpy()), 100)
            line["answerable"] = len(right)
        found.append(line)
    return pd.DataFrame(found)


def harm(rows: pd.DataFrame) -> pd.DataFrame:
    """What each intervention costs at each fraction, against the unintervened answers.

    `realised` is the percentage of committed tokens that were changed (bootstrap); `edit` is the
    edit distance as percent of the longer answer's tokens (bootstrap), `differ` the percentage of
    answers that differ at all (Wilson). `nats` is the mean over the `scored` prompts of the
    difference in nats per token, positive where the scorer likes the answer less (t interval
    and test). `correct` is the difference of exact matches in points of 100, over the `answerable`
    prompts (t interval; the sign test is stricter). `_holm` are p-values corrected for a
    model's rows.
    """
    found = []
    for named, part in grouped(rows, SERIES):
        nats = _mean(part["nats"])
        line = named | {"prompts": len(part)}
        line |= _line("realised", _ratio(part, "changed", "offered"), 100)
        line |= _line("edit", _amount(part["edit"], 100))
        line |= _line("differ", stats.proportion(part["differs"].to_numpy()), 100)
        if nats.n:
            line |= {"scored": nats.n} | _line("nats", nats) | {"nats_p": nats.p}
        if part["plain_correct"].notna().any():
            right = _hits(part["correct"], part["plain_correct"])
            line |= {"answerable": right.n} | _line("correct", right, 100, (-100, 100))
            line["correct_p"] = right.p
        found.append(line)
    return _corrected(pd.DataFrame(found), ("nats", "correct"))


def compounding(rows: pd.DataFrame) -> pd.DataFrame:
    """A shift minus each control at the same fraction, over the same prompts.

    Minus "post-hoc": what later steps make of moved tokens, beyond the moves themselves. Positive:
    the shift costs more. `nats` per token, `edit` in points of 100 (t intervals and tests),
    `correct` in points (sign test); `_holm` are corrected for a model's rows. Some moves are
    blocked, so that shifts change fewer tokens than other controls: `realised` says how many, in
    percent of the committed ones, of the shift and of the `control`.
    """
    found = []
    changed = rows[rows["frac"] > 0]
    for named, part in grouped(changed, ["model", "frac"]):
        by_kind = {kind: p.set_index("prompt") for kind, p in part.groupby("intervention")}
        for control in CONTROLS:
            if not {"shift", control} <= by_kind.keys():
                continue
            ours, theirs = by_kind["shift"].align(by_kind[control], join="inner", axis=0)
            if len(ours):
                found.append(named | {"against": control} | _beside(ours, theirs))
    return _corrected(pd.DataFrame(found), ("nats", "edit", "correct"))


def _beside(ours: pd.DataFrame, theirs: pd.DataFrame) -> dict[str, Any]:
    nats, edit = (_mean(ours[name] - theirs[name]) for name in ("nats", "edit"))
    shares = [100 * p["changed"].sum() / p["offered"].sum() for p in (ours, theirs)]
    line = {"prompts": len(ours), "realised": shares[0], "control": shares[1]}
    if nats.n:
        line |= _line("nats", nats) | {"nats_p": nats.p}
    line |= _line("edit", edit, 1, (-100, 100)) | {"edit_p": edit.p}
    if ours["correct"].notna().any():
        right = _hits(ours["correct"], theirs["correct"])
        line |= _line("correct", right, 100, (-100, 100)) | {"correct_p": right.p}
    return line


def trend(rows: pd.DataFrame) -> pd.DataFrame:
    """What one changed token in a hundred costs: slopes over the realised share.

    Least squares through the origin, since nothing changed costs nothing: of the fractions' mean
    harm over their mean realised share, both means over prompts, with bootstrap intervals over
    prompts that have all fractions and a change at one of them (others add nothing). `nats` by
    token and percent, `edit` in points of 100 by percent. Harm that levels off has no one slope:
    compare slopes over the same fractions.
    """
    found = []
    for named, part in grouped(rows[rows["frac"] > 0], ["model", "intervention"]):
        line = named | {"fracs": part["frac"].nunique(), "prompts": part["prompt"].nunique()}
        for measure in ("nats", "edit"):
            if part[measure].notna().any():
                line |= _line(measure, _slope(part, measure))
        found.append(line)
    return pd.DataFrame(found)


def _slope(part: pd.DataFrame, measure: str) -> stats.Estimate:
    """Of a measure over the realised percentage."""
    part = part.assign(share=100 * part["changed"] / part["offered"])
    wide = part.pivot(index="prompt", columns="frac", values=["share", measure]).dropna()
    count = wide.shape[1] // 2

    def slope(means: np.ndarray) -> np.ndarray:
        x, y = means[..., :count], means[..., count:]
        square = (x * x).sum(-1)
        slopes: np.ndarray = (x * y).sum(-1) / np.where(square > 0, square, np.nan)
        return slopes

    values = wide.to_numpy(dtype=float)
    values = values[values[:, :count].any(axis=1)]
    return stats.bootstrap(values, slope) if len(values) else NOTHING


def cascade(rows: pd.DataFrame) -> pd.DataFrame:
    """How far a change runs on.

    `changed` is its mean number by answer. `by_change` is the number of places that differ though
    the intervention wrote nothing there, by change (bootstrap); of moves after decoding it is 0.
    Of the `differing` answers: `divergence`, the first position that differs, and the percentage of
    the 8 and 32 positions after it that differ (bootstrap).
    """
    found = []
    for named, part in grouped(rows[rows["frac"] > 0], SERIES):
        differing = part[part["differs"]]
        line = named | {"prompts": len(part), "changed": part["changed"].mean()}
        line |= _line("by_change", _ratio(part, "cascade", "changed", np.inf))
        first = _amount(differing["divergence"])
        line |= {"differing": len(differing)} | _line("divergence", first)
        for name in ("parted_8", "parted_32"):
            line |= _line(name, _amount(100 * differing[name], 100))
        found.append(line)
    return pd.DataFrame(found)


def moves(rows: pd.DataFrame) -> pd.DataFrame:
    """What became of the hits, in percent, with bootstrap intervals over prompts.

    Of the hits: `blocked`, `to_right`, `to_left`. Of the moved tokens: `refilled`, whose own place
    was filled in later, and `doubled`, with the same token again. Of all changes: `visible`, not
    behind the end of the text. Columns that an intervention doesn't have are left empty.
    """
    found = []
    for named, part in grouped(rows[rows["frac"] > 0], SERIES):
        line = named | {"hits": int(part["hits"].sum()), "changed": int(part["changed"].sum())}
        for name in ("blocked", "to_right", "to_left"):
            line |= _line(name, _ratio(part, name, "hits"), 100)
        for name in ("refilled", "doubled", "visible"):
            line |= _line(name, _ratio(part, name, "changed"), 100)
        found.append(line)
    return pd.DataFrame(found)


# ---------------------------------------------------------------------- comparing


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """The unintervened answers."""
    rows = compared(frame)
    return rows[rows["intervention"] == NO_INTERVENTION]


def harmed(frame: pd.DataFrame) -> pd.DataFrame:
    """The intervened answers; `missed`: 1 where the own unintervened one alone is right."""
    rows = compared(frame)
    rows = rows.assign(missed=rows["plain_correct"] - rows["correct"])
    return rows[(rows["intervention"] != NO_INTERVENTION) & (rows["frac"] > 0)]


PAIRED = (
    Pairing(
        {
            "nats": Measure("harm (nats per token)"),
            "edit": Measure("edit distance (% of the longer answer)"),
            "missed": Measure("exact matches lost (points)", scale=100),
        },
        item=PROMPT_ITEM,
        by=("intervention", "frac"),
        name="harm",
        rows=harmed,
    ),
    Pairing(
        {
            "by_token": Measure("negative log-likelihood (nats per token)"),
            "correct": Measure("exact match (points)", hits=True, scale=100),
            "answer_tokens": Measure("tokens of the answer"),
        },
        item=PROMPT_ITEM,
        name="unintervened",
        rows=plain,
    ),
)
