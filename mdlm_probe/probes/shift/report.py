"""What moved tokens cost: harm against the fraction, beside controls, and how far damage runs.

Prompts are the independent units: every interval and test is over prompts. Shares, exact matches
and edit distances are in percent, likelihoods in nats per token of the scorer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import frames, stats, text_quality
from mdlm_probe.analysis.pairing import PROMPT_ITEM, Measure, Pairing
from mdlm_probe.analysis.stats import corrected
from mdlm_probe.decoding.canvas import NO_INTERVENTION

SERIES = ["model", "intervention", "frac"]
CONTROLS = ("post-hoc", "replace", "hold")
NUMBERS = (
    *("frac", "answer_tokens", "nll", "scorer_tokens", "correct", "offered", "hits", "changed"),
    *("blocked", "late", "to_right", "to_left", "refilled", "doubled", "visible", "edit_distance"),
    *("divergence", "parted_8", "parted_32", "cascade"),
)
PRINTED = ("unintervened", "quality", "frontier", "harm", "compounding", "trend", "moves")
DIFFERENCES = ("nats", "truth", "valid", "edit", "correct")
"""What a shift is compared in with each control."""
OF_HITS = ("blocked", "to_right", "to_left")
OF_CHANGES = ("late", "refilled", "doubled", "visible")
BESIDE = dict.fromkeys(("truth", "valid", "correct"), "points")
PLAIN = ("by_token", "answer_tokens", "correct", "truth", "valid_share", "entropy_1")
"""Of the unintervened answer, beside the others to its prompt."""
UNITS = {
    "unintervened": dict.fromkeys(("ended", "correct"), "%") | {"nats": "nats per token"},
    "quality": {"longest_repeat": "tokens"} | dict.fromkeys(text_quality.ENTROPIES, "nats"),
    "frontier": {"entropy_1": "nats", "matched": "nats per token"},
    "harm": dict.fromkeys(("asked", "realised", "edit", "differ"), "%")
    | {"nats": "nats per token", "entropy": "nats"}
    | BESIDE,
    "compounding": dict.fromkeys(("asked", "realised", "control"), "%")
    | {"edit": "points", "nats": "nats per token"}
    | BESIDE,
    "trend": {"nats": "nats per token and %"} | dict.fromkeys(("truth", "edit"), "points per %"),
    "cascade": dict.fromkeys(("parted_8", "parted_32"), "%"),
    "moves": dict.fromkeys(("asked", "realised", *OF_HITS, *OF_CHANGES), "%"),
}
"""Units of columns that the rows don't have, or have in another one; by table."""

NOTHING = stats.Estimate(np.nan, np.nan, np.nan, 0)


def tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The report's tables by name; every interval and test is over prompts.

    "unintervened" for the answers as they are, "quality" of all, by measures that no repetition
    wins, "frontier" of perplexity and entropy, "harm" against the unintervened ones, "compounding"
    of a shift against the controls, "trend" over the realised share, "cascade" for how damage runs
    on, "moves" for what became of the hits.

    Raises:
        KeyError, ValueError: for rows that a shift run didn't write.
    """
    rows = compared(frame)
    return {
        "unintervened": unintervened(rows),
        "quality": quality(rows),
        "frontier": frontier(rows),
        "harm": harm(rows),
        "compounding": compounding(rows),
        "trend": trend(rows),
        "cascade": cascade(rows),
        "moves": moves(rows),
    }


def compared(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows beside the unintervened answer to their prompt.

    New columns: `by_token` is nats per token of the scorer, `nats` the same above the unintervened
    answer's, `entropy` that of the answer's own tokens above that one's; `more_truth` and
    `more_valid` are the truth and the share of valid words above that one's, in points of 100;
    `edit` is the edit distance per token of the longer answer, in percent; `differs` whether the
    answers differ; `plain_correct` is the unintervened answer's.
    """
    rows = frame if "late" in frame else frame.assign(late=np.nan)  # an earlier version had none
    rows = rows.assign(**{name: pd.to_numeric(rows[name]) for name in NUMBERS})
    rows = text_quality.with_quality(rows)
    rows["valid_share"] = rows["valid"] / rows["words"].where(rows["words"] > 0)
    rows["by_token"] = rows["nll"] / rows["scorer_tokens"].where(rows["scorer_tokens"] > 0)
    plain = rows.loc[
        rows["intervention"] == NO_INTERVENTION,
        ["model", "prompt", *PLAIN],
    ].set_index(["model", "prompt"])
    rows = rows.join(plain.add_prefix("plain_"), on=["model", "prompt"])
    rows["nats"] = rows["by_token"] - rows["plain_by_token"]
    rows["entropy"] = rows["entropy_1"] - rows["plain_entropy_1"]
    rows["more_truth"] = 100 * (rows["truth"] - rows["plain_truth"])
    rows["more_valid"] = 100 * (rows["valid_share"] - rows["plain_valid_share"])
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
    token of the scorer (t interval), `perplexity` its exponential, `entropy_1` that of the answers'
    own tokens, beside which alone it can be read.
    """
    found = []
    for model, part in rows[rows["intervention"] == NO_INTERVENTION].groupby("model", sort=False):
        nats, right = _mean(part["by_token"]), part["correct"].dropna()
        line = {"model": model, "prompts": len(part), "tokens": part["answer_tokens"].mean()}
        line |= _line("ended", stats.proportion(part["ended"].to_numpy()), 100)
        line |= _line("nats", nats) | {"perplexity": float(np.exp(nats.mean))}
        line["entropy_1"] = part["entropy_1"].mean()
        if len(right):
            line |= _line("correct", stats.proportion(right.to_numpy()), 100)
            line["answerable"] = len(right)
        found.append(line)
    return pd.DataFrame(found)


def _with_plain(rows: pd.DataFrame) -> pd.DataFrame:
    """The answers that differ in what was done: a fraction of 0 does nothing."""
    return rows[(rows["intervention"] == NO_INTERVENTION) | (rows["frac"] > 0)]


def quality(rows: pd.DataFrame) -> pd.DataFrame:
    """What each kind of answer is worth by measures that no repetition wins.

    See `text_quality.quality`; `tokens` is the mean length.
    """
    found = [
        named
        | {"prompts": len(part), "tokens": part["answer_tokens"].mean()}
        | text_quality.quality(part)
        for named, part in frames.grouped(_with_plain(rows), SERIES)
    ]
    return text_quality.shown(pd.DataFrame(found))


def frontier(rows: pd.DataFrame) -> pd.DataFrame:
    """Perplexity beside entropy, of a model's answers with and without interventions.

    See `text_quality.frontier`.
    """
    return text_quality.frontier(_with_plain(rows), SERIES, ["model"])


def harm(rows: pd.DataFrame) -> pd.DataFrame:
    """What each intervention costs at each fraction, against the unintervened answers.

    `asked` is the percentage of tokens that were to be changed, `realised` that of the committed
    ones that were (bootstrap); `edit` is the
    edit distance as percent of the longer answer's tokens (bootstrap), `differ` the percentage of
    answers that differ at all (Wilson). `nats` is the mean over the `scored` prompts of the
    difference in nats per token, positive where the scorer likes the answer less (t interval
    and test), to be read beside the difference in `entropy` of the answers' own tokens: less of it
    lowers the nats, too. `truth` and `valid`, of the `judged` prompts of the small language, are
    the differences in truth and in valid words, in points of 100 (t intervals and tests).
    `correct` is the difference of exact matches in points of 100, over the `answerable`
    prompts (t interval; the sign test is stricter). `_holm` are p-values corrected for a
    model's rows.
    """
    found = []
    for named, part in grouped(rows, SERIES):
        nats = _mean(part["nats"])
        line = named | {"prompts": len(part)}
        line["asked"] = 100 * named["frac"]
        line |= _line("realised", text_quality.ratio(part, "changed", "offered", 1.0), 100)
        line |= _line("edit", _amount(part["edit"], 100))
        line |= _line("differ", stats.proportion(part["differs"].to_numpy()), 100)
        if nats.n:
            line |= {"scored": nats.n} | _line("nats", nats) | {"nats_p": nats.p}
        if part["entropy"].notna().any():
            line |= _line("entropy", _mean(part["entropy"]))
        if part["more_truth"].notna().any():
            line["judged"] = int(part["more_truth"].notna().sum())
            line |= _points(part["more_truth"], "truth") | _points(part["more_valid"], "valid")
        if part["plain_correct"].notna().any():
            right = _hits(part["correct"], part["plain_correct"])
            line |= {"answerable": right.n} | _line("correct", right, 100, (-100, 100))
            line["correct_p"] = right.p
        found.append(line)
    return _corrected(pd.DataFrame(found), ("nats", "truth", "valid", "correct"))


def _points(values: pd.Series, name: str) -> dict[str, float]:
    """A mean difference of shares in points, with interval and test."""
    found = _mean(values)
    return _line(name, found, 1, (-100, 100)) | {f"{name}_p": found.p}


def compounding(rows: pd.DataFrame) -> pd.DataFrame:
    """A shift minus each control at the same fraction, over the same prompts.

    Minus "post-hoc": what later steps make of moved tokens, beyond the moves themselves: both
    displace the same number of tokens, into the same places. Positive: the shift costs more; of
    `truth` and `valid`, in points of 100, negative does. `nats` per token, `edit` in points of 100
    (t intervals and tests), `correct` in points (sign test); `_holm` are corrected for a model's
    rows. `asked` and `realised`: percent of the tokens that were to be changed, and were; `control`
    is the control's own share, below where moves are left over.
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
                named_so = named | {"against": control, "asked": 100 * named["frac"]}
                found.append(named_so | _beside(ours, theirs))
    return _corrected(pd.DataFrame(found), DIFFERENCES)


def _beside(ours: pd.DataFrame, theirs: pd.DataFrame) -> dict[str, Any]:
    nats, edit = (_mean(ours[name] - theirs[name]) for name in ("nats", "edit"))
    shares = [100 * p["changed"].sum() / p["offered"].sum() for p in (ours, theirs)]
    line = {"prompts": len(ours), "realised": shares[0], "control": shares[1]}
    if nats.n:
        line |= _line("nats", nats) | {"nats_p": nats.p}
    for name in ("truth", "valid"):
        gap = ours[f"more_{name}"] - theirs[f"more_{name}"]
        if gap.notna().any():
            line |= _points(gap, name)
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
    token and percent, `truth` and `edit` in points of 100 by percent. Harm that levels off has no
    one slope: compare slopes over the same fractions.
    """
    found = []
    for named, part in grouped(rows[rows["frac"] > 0], ["model", "intervention"]):
        line = named | {"fracs": part["frac"].nunique(), "prompts": part["prompt"].nunique()}
        for name, measure in (("nats", "nats"), ("truth", "more_truth"), ("edit", "edit")):
            if part[measure].notna().any():
                line |= _line(name, _slope(part, measure))
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
        line |= _line("by_change", text_quality.ratio(part, "cascade", "changed"))
        first = _amount(differing["divergence"])
        line |= {"differing": len(differing)} | _line("divergence", first)
        for name in ("parted_8", "parted_32"):
            line |= _line(name, _amount(100 * differing[name], 100))
        found.append(line)
    return pd.DataFrame(found)


def moves(rows: pd.DataFrame) -> pd.DataFrame:
    """What became of the hits, in percent, with bootstrap intervals over prompts.

    Of all tokens: `asked`, and `realised`. Of the hits: `blocked`, which are left over, and moves
    `to_right` and `to_left` (left to right nearly all go right: what stands at the left is
    written). Of the moved tokens: `late`, which stand in for others without a free side,
    `refilled`, whose own place was filled in later, and `doubled`, with the same token again. Of
    all changes: `visible`, not behind the end of the text. Columns that an intervention doesn't
    have are left empty.
    """
    found = []
    for named, part in grouped(rows[rows["frac"] > 0], SERIES):
        line = named | {"hits": int(part["hits"].sum()), "changed": int(part["changed"].sum())}
        line |= {"asked": 100 * named["frac"]}
        line |= _line("realised", text_quality.ratio(part, "changed", "offered", 1.0), 100)
        for name in OF_HITS:
            line |= _line(name, text_quality.ratio(part, name, "hits", 1.0), 100)
        for name in OF_CHANGES:
            line |= _line(name, text_quality.ratio(part, name, "changed", 1.0), 100)
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
            "more_truth": Measure("truth of the small language (points)"),
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
            "truth": Measure("truth of the small language (points)", scale=100),
            "entropy_1": Measure("entropy of the answer's own tokens (nats)"),
            "correct": Measure("exact match (points)", hits=True, scale=100),
            "answer_tokens": Measure("tokens of the answer"),
        },
        item=PROMPT_ITEM,
        name="unintervened",
        rows=plain,
    ),
)
