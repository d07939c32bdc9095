"""What moved tokens cost: harm against the fraction, beside controls, and how far damage runs.

Prompts are the independent units: every interval and test is over prompts. Shares are of 1,
differences of shares in points of 100, likelihoods in nats per token of the scorer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import frames, stats, text_quality
from mdlm_probe.analysis.pairing import PROMPT_ITEM, Measure, Pairing
from mdlm_probe.decoding.canvas import NO_INTERVENTION
from mdlm_probe.probes.shift.course_tables import cascade, moves, trend
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
DIFFERENCES = ("nats", "truth_points", "valid_points", "edits_points", "correct_points")
"""What a shift is compared in with each control."""
BESIDE = dict.fromkeys(("truth_points", "valid_points", "correct_points"), "points")
PLAIN = ("by_token", "answer_tokens", "correct", "truth", "valid_share", "entropy_1")
"""Of the unintervened answer, beside the others to its prompt."""
UNITS = {
    "unintervened": {"nll_per_token": "nats per token"},
    "quality": {"longest_repeat": "tokens"} | dict.fromkeys(text_quality.ENTROPIES, "nats"),
    "frontier": {"entropy_1": "nats", "matched": "nats per token"},
    "harm": {"nats": "nats per token", "more_entropy": "nats"} | BESIDE,
    "compounding": {"edits_points": "points", "nats": "nats per token"} | BESIDE,
    "trend": {"nats_slope": "nats per token and %"}
    | dict.fromkeys(("truth_slope", "edits_slope"), "points per %"),
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
    answer's, `more_entropy` that of the answer's own tokens above that one's; `more_truth` and
    `more_valid` are the truth and the share of valid words above that one's, in points of 100;
    `edits` is the edit distance per token of the longer answer; `differs` whether the
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
    rows["more_entropy"] = rows["entropy_1"] - rows["plain_entropy_1"]
    rows["more_truth"] = 100 * (rows["truth"] - rows["plain_truth"])
    rows["more_valid"] = 100 * (rows["valid_share"] - rows["plain_valid_share"])
    longer = rows[["answer_tokens", "plain_answer_tokens"]].max(axis=1)
    rows["edits"] = rows["edit_distance"] / longer.clip(lower=1)
    rows["differs"] = rows["edit_distance"] > 0
    return rows


# ---------------------------------------------------------------------- tables


def unintervened(rows: pd.DataFrame) -> pd.DataFrame:
    """The answers that all others are compared with.

    `answer_tokens` is their mean length, `ended` and `correct` are shares of them (Wilson's
    intervals; `correct` of the prompts that have a right answer), `nll_per_token` is the mean over
    prompts of nats by token of the scorer (t interval), `perplexity` its exponential, `entropy_1`
    that of the answers' own tokens, beside which alone it can be read.
    """
    found = []
    for model, part in rows[rows["intervention"] == NO_INTERVENTION].groupby("model", sort=False):
        nats, right = mean(part["by_token"]), part["correct"].dropna()
        line = {"model": model, "n": len(part), "answer_tokens": part["answer_tokens"].mean()}
        line |= columns("ended", stats.proportion(part["ended"].to_numpy()))
        line |= columns("nll_per_token", nats) | {"perplexity": float(np.exp(nats.mean))}
        line["entropy_1"] = part["entropy_1"].mean()
        if len(right):
            line |= columns("correct", stats.proportion(right.to_numpy()))
            line["answerable"] = len(right)
        found.append(line)
    return pd.DataFrame(found)


def _with_plain(rows: pd.DataFrame) -> pd.DataFrame:
    """The answers that differ in what was done: a fraction of 0 does nothing."""
    return rows[(rows["intervention"] == NO_INTERVENTION) | (rows["frac"] > 0)]


def quality(rows: pd.DataFrame) -> pd.DataFrame:
    """What each kind of answer is worth by measures that no repetition wins.

    See `text_quality.quality`; `answer_tokens` is the mean length.
    """
    found = [
        named
        | {"n": len(part), "answer_tokens": part["answer_tokens"].mean()}
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

    `realised` is the share of the committed tokens that were changed (bootstrap); `edits` is the
    edit distance as a share of the longer answer's tokens (bootstrap), `answers_differ` the share
    of answers that differ at all (Wilson). `nats` is the mean over the `scored` prompts of the
    difference in nats per token, positive where the scorer likes the answer less (t interval and
    test), to be read beside the difference in entropy of the answers' own tokens, `more_entropy`:
    less of it lowers the nats, too. `truth_points` and `valid_points`, of the `judged` prompts of
    the small language, are the differences in truth and in valid words, in points of 100 (t
    intervals and tests). `correct_points` is the difference of exact matches in points of 100, over
    the `answerable` prompts (t interval; the sign test is stricter). `_holm` are p-values corrected
    for a model's rows.
    """
    found = []
    for named, part in grouped(rows, SERIES):
        nats = mean(part["nats"])
        line = named | {"n": len(part)}
        line |= columns("realised", text_quality.ratio(part, "changed", "offered", 1.0))
        line |= columns("edits", amount(part["edits"], 1.0))
        line |= columns("answers_differ", stats.proportion(part["differs"].to_numpy()))
        if nats.n:
            line |= {"scored": nats.n} | columns("nats", nats) | {"nats_p": nats.p}
        if part["more_entropy"].notna().any():
            line |= columns("more_entropy", mean(part["more_entropy"]))
        if part["more_truth"].notna().any():
            line["judged"] = int(part["more_truth"].notna().sum())
            line |= _points(part["more_truth"], "truth") | _points(part["more_valid"], "valid")
        if part["plain_correct"].notna().any():
            right = hits(part["correct"], part["plain_correct"])
            line |= {"answerable": right.n} | columns("correct_points", right, 100, (-100, 100))
            line["correct_points_p"] = right.p
        found.append(line)
    return holm_corrected(pd.DataFrame(found), [n for n in DIFFERENCES if n != "edits_points"])


def _points(values: pd.Series, name: str) -> dict[str, float]:
    """A mean difference of shares in points, with interval and test."""
    found = mean(values)
    points = columns(f"{name}_points", found, 1, (-100, 100))
    return points | {f"{name}_points_p": found.p}


def compounding(rows: pd.DataFrame) -> pd.DataFrame:
    """A shift minus each control at the same fraction, over the same prompts.

    Minus "post-hoc": what later steps make of moved tokens, beyond the moves themselves: both
    displace the same number of tokens, into the same places. Positive: the shift costs more; of
    `truth_points` and `valid_points` negative does. `nats` per token, `edits_points`
    (t intervals and tests), `correct_points` (sign test); `_holm` are corrected for a model's
    rows. `realised`: the share of the tokens that were changed; `realised_control` is the control's
    own, below where moves are left over.
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
                named_so = named | {"against": control}
                found.append(named_so | _beside(ours, theirs))
    return holm_corrected(pd.DataFrame(found), DIFFERENCES)


def _beside(ours: pd.DataFrame, theirs: pd.DataFrame) -> dict[str, Any]:
    nats, edits = (mean(ours[name] - theirs[name]) for name in ("nats", "edits"))
    shares = [p["changed"].sum() / p["offered"].sum() for p in (ours, theirs)]
    line = {"n": len(ours), "realised": shares[0], "realised_control": shares[1]}
    if nats.n:
        line |= columns("nats", nats) | {"nats_p": nats.p}
    for name in ("truth", "valid"):
        gap = ours[f"more_{name}"] - theirs[f"more_{name}"]
        if gap.notna().any():
            line |= _points(gap, name)
    line |= columns("edits_points", edits, 100, (-100, 100)) | {"edits_points_p": edits.p}
    if ours["correct"].notna().any():
        right = hits(ours["correct"], theirs["correct"])
        line |= columns("correct_points", right, 100, (-100, 100))
        line["correct_points_p"] = right.p
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
            "edits": Measure("edit distance (% of the longer answer)", scale=100, better="less"),
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
