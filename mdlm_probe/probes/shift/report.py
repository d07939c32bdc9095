"""What moved tokens cost: harm against the fraction, beside controls, and how far damage runs.

Prompts are the independent units: every interval and test is over prompts. Shares, exact matches
and edit distances are in percent, likelihoods in nats per token of the scorer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import frames, stats, text_quality
from mdlm_probe.analysis.pairing import PROMPT_ITEM, Measure, Pairing
from mdlm_probe.decoding.canvas import NO_INTERVENTION
from mdlm_probe.probes.shift.course_tables import OF_CHANGES, OF_HITS, cascade, moves, trend
from mdlm_probe.probes.shift.estimates import (
    SERIES,
    amount,
    columns,
    grouped,
    hits,
    holm_corrected,
    mean,
)

CONTROLS = ("post-hoc", "replace", "hold")
NUMBERS = (
    *("frac", "answer_tokens", "nll", "scorer_tokens", "correct", "offered", "hits", "changed"),
    *("blocked", "late", "to_right", "to_left", "refilled", "doubled", "visible", "edit_distance"),
    *("divergence", "parted_8", "parted_32", "cascade"),
)
PRINTED = ("unintervened", "quality", "frontier", "harm", "compounding", "trend", "moves")
UNREAD = ("answer", "right", "moves", "unmasked", "canvas")
DIFFERENCES = ("nats", "truth", "valid", "edit", "correct")
"""What a shift is compared in with each control."""
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
        nats, right = mean(part["by_token"]), part["correct"].dropna()
        line = {"model": model, "prompts": len(part), "tokens": part["answer_tokens"].mean()}
        line |= columns("ended", stats.proportion(part["ended"].to_numpy()), 100)
        line |= columns("nats", nats) | {"perplexity": float(np.exp(nats.mean))}
        line["entropy_1"] = part["entropy_1"].mean()
        if len(right):
            line |= columns("correct", stats.proportion(right.to_numpy()), 100)
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
        nats = mean(part["nats"])
        line = named | {"prompts": len(part)}
        line["asked"] = 100 * named["frac"]
        line |= columns("realised", text_quality.ratio(part, "changed", "offered", 1.0), 100)
        line |= columns("edit", amount(part["edit"], 100))
        line |= columns("differ", stats.proportion(part["differs"].to_numpy()), 100)
        if nats.n:
            line |= {"scored": nats.n} | columns("nats", nats) | {"nats_p": nats.p}
        if part["entropy"].notna().any():
            line |= columns("entropy", mean(part["entropy"]))
        if part["more_truth"].notna().any():
            line["judged"] = int(part["more_truth"].notna().sum())
            line |= _points(part["more_truth"], "truth") | _points(part["more_valid"], "valid")
        if part["plain_correct"].notna().any():
            right = hits(part["correct"], part["plain_correct"])
            line |= {"answerable": right.n} | columns("correct", right, 100, (-100, 100))
            line["correct_p"] = right.p
        found.append(line)
    return holm_corrected(pd.DataFrame(found), ("nats", "truth", "valid", "correct"))


def _points(values: pd.Series, name: str) -> dict[str, float]:
    """A mean difference of shares in points, with interval and test."""
    found = mean(values)
    return columns(name, found, 1, (-100, 100)) | {f"{name}_p": found.p}


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
    return holm_corrected(pd.DataFrame(found), DIFFERENCES)


def _beside(ours: pd.DataFrame, theirs: pd.DataFrame) -> dict[str, Any]:
    nats, edit = (mean(ours[name] - theirs[name]) for name in ("nats", "edit"))
    shares = [100 * p["changed"].sum() / p["offered"].sum() for p in (ours, theirs)]
    line = {"prompts": len(ours), "realised": shares[0], "control": shares[1]}
    if nats.n:
        line |= columns("nats", nats) | {"nats_p": nats.p}
    for name in ("truth", "valid"):
        gap = ours[f"more_{name}"] - theirs[f"more_{name}"]
        if gap.notna().any():
            line |= _points(gap, name)
    line |= columns("edit", edit, 1, (-100, 100)) | {"edit_p": edit.p}
    if ours["correct"].notna().any():
        right = hits(ours["correct"], theirs["correct"])
        line |= columns("correct", right, 100, (-100, 100)) | {"correct_p": right.p}
    return line


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
            "nats": Measure("harm (nats per token)", better="less"),
            "more_truth": Measure("truth of the small language (points)", better="more"),
            "edit": Measure("edit distance (% of the longer answer)", better="less"),
            "missed": Measure("exact matches lost (points)", scale=100, better="less"),
        },
        item=PROMPT_ITEM,
        by=("intervention", "frac"),
        name="harm",
        rows=harmed,
    ),
    Pairing(
        {
            "by_token": Measure("negative log-likelihood (nats per token)"),
            "truth": Measure("truth of the small language (points)", scale=100, better="more"),
            "entropy_1": Measure("entropy of the answer's own tokens (nats)"),
            "correct": Measure("exact match (points)", hits=True, scale=100, better="more"),
            "answer_tokens": Measure("tokens of the answer"),
        },
        item=PROMPT_ITEM,
        name="unintervened",
        rows=plain,
    ),
)
