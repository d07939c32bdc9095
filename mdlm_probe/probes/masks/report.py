"""Accuracy against the number of appended masks, beside equally long tails of something else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.frames import grouped, records
from mdlm_probe.analysis.pairing import Measure, Pairing
from mdlm_probe.analysis.stats import corrected
from mdlm_probe.probes._few_shot import choices, report_parts
from mdlm_probe.probes._few_shot.report_parts import (
    ITEM,
    RELEVANT,
    difference,
    over_tasks,
    with_task,
)
from mdlm_probe.probes.masks import calibration
from mdlm_probe.probes.masks.contrasts import gain, gains, lengths, rank, steps
from mdlm_probe.probes.masks.degradation import degradation
from mdlm_probe.probes.masks.item_pairs import (
    CONTEXT,
    MEASURES,
    SERIES,
    both_by_amount,
    by_amount,
    compared,
    corrected_lines,
    ends,
)
from mdlm_probe.probes.masks.paper_measures import mean_degradation

FILLERS = ("mask", "text", "eos", "pad", "dot", "dot-token", "space", "random", "none")
notes = report_parts.notes
NUDGE = 1e-15
"""Keeps equal numbers of tokens apart that were asked for in two ways, such as 25 and 5%."""

PRINTED = ("overview", "drop", "steps", "lengths", "gain", "degradation")
UNITS = {
    **dict.fromkeys(
        ("changes", "controls", "steps", "lengths"),
        dict.fromkeys(("accuracy_points", "p_right_points"), "points"),
    ),
    "gain": dict.fromkeys(("gain_points", "drop_points", "difference_points"), "points"),
    "gains": dict.fromkeys(("gain_points", "drop_points"), "points"),
    **dict.fromkeys(("drop", "tasks"), dict.fromkeys(("points", "from_start_points"), "points")),
}
"""Units of columns that the rows don't have, or have in another one; by table."""


def tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The report's tables by name.

    "overview" for a first look, "curve" with intervals, "drop" from the best to the largest k,
    "changes" against the smallest k, "controls" of masks against other fillers, drops by
    relevant task in "tasks"; where the settings were asked, several "steps" against one, few masks
    against many by context in "lengths", the "gain" of examples against the drop by masks, the mean
    "degradation" over few random steps; "calibration" of answers, and their "reliability".

    Raises:
        KeyError, ValueError: for rows that a masks run didn't write.
    """
    rows = series(frame)
    table = curve(rows)
    found = {
        "overview": overview(table),
        "curve": table,
        "drop": drop(rows),
        "changes": changes(rows),
        "controls": controls(rows),
        "tasks": drop(rows, [RELEVANT]),
    }
    shots = answered(frame)
    more = {"steps": steps(rows), "lengths": lengths(rows)}
    more |= {"gain": gain(shots), "gains": gains(shots), "degradation": mean_degradation(rows)}
    more |= calibration.tables(rows)
    return found | {name: contrast for name, contrast in more.items() if len(contrast)}


def series(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows by series: every curve gets a copy of the points at which nothing is appended.

    A column `p_right` holds the probability of the right answer, `k` the mean number of tokens that
    an amount appends, by which amounts are ordered, whether they are counts or shares.
    """
    frame = answered(frame)
    frame["k"] = frame.groupby([*CONTEXT, "amount"], observed=True)["appended"].transform("mean")
    frame["k"] += NUDGE * frame["amount"].map(rank)
    start, tails = frame[frame["filler"] == "none"], frame[frame["filler"] != "none"]
    parts = [tails]
    for named, part in grouped(tails, SERIES):
        same = (start[CONTEXT] == pd.Series({c: named[c] for c in CONTEXT})).all(axis=1)
        own = part[["suite", *ITEM]].drop_duplicates()
        parts.append(start[same].assign(**named).merge(own, on=["suite", *ITEM]))
    return pd.concat(parts if len(tails) else [start], ignore_index=True)


def _text(frame: pd.DataFrame) -> pd.Series:
    """What was asked to be appended, as typed: a column of counts alone is read as numbers."""
    return frame["amount"].map(lambda k: k if isinstance(k, str) else f"{k:g}")


def curve(rows: pd.DataFrame) -> pd.DataFrame:
    """Accuracy, probability of the right answer, entropy and confidence at every k of a series.

    `appended` is the mean number of tokens appended, `mask_tokens` the mean number of masks in the
    prompt, the answer's own included. Accuracy has Wilson's interval over items and that of
    `stats.share_over` over relevant tasks; probability has the t interval over tasks. The paper's
    bands, the t interval over 16 sets, take two sets of a task for two units, and fail near 100 %.
    Which options are answered: `choices.chosen`.
    """
    found = []
    for named, part in grouped(choices.with_letters(rows), [*SERIES, "k", "amount"]):
        items = stats.proportion(part["correct"].to_numpy())
        tasks = stats.share_over(part["correct"].to_numpy(), part[RELEVANT].to_numpy())
        right = stats.clustered(part["p_right"].to_numpy(), part[RELEVANT].to_numpy())
        found.append(
            {name: value for name, value in named.items() if name != "k"}
            | {"appended": part["appended"].mean(), "mask_tokens": part["mask_tokens"].mean()}
            | {"accuracy": items.mean, "n": items.n}
            | items.ends("items")
            | tasks.ends("tasks")
            | {"p_right": right.mean}
            | right.within(0.0, 1.0).ends("p_right")
            | {"entropy": part["entropy"].mean(), "top1_prob": part["top1_prob"].mean()}
            | {"answer_step": part["answer_step"].mean(), "tasks": tasks.n, "k": named["k"]}
            | choices.chosen(part)
        )
    table = pd.DataFrame(found)
    return table.sort_values([*SERIES, "k"], key=_order(rows), ignore_index=True).drop(columns="k")


def overview(table: pd.DataFrame) -> pd.DataFrame:
    """Accuracy and probability of the right answer side by side: a row for each k, no intervals.

    `top_choice` is the largest share of the answers that one option has, see `choices.chosen`.
    """
    others = [c for c in SERIES if c not in ("model", "filler")]
    names = ["model", *(c for c in others if table[c].nunique() > 1)]
    mean = table.groupby("amount", observed=True)["appended"].transform("mean")
    measures = [m for m in ("accuracy", "p_right", "top_choice") if m in table]
    asked = table.assign(k=mean + NUDGE * table["amount"].map(rank))
    wide = asked.pivot_table(
        index=[*names, "k", "amount"],
        columns="filler",
        values=measures,
        sort=False,
    )
    wide.columns = pd.Index([" ".join(pair) for pair in wide.columns])
    order = [f"{m} {f}" for m in measures for f in FILLERS]
    wide = wide[[name for name in order if name in wide.columns]].sort_index(level="k")
    if "warning" in table:
        wide["warning"] = asked.groupby([*names, "k", "amount"], observed=True).apply(_warnings)
    return (
        wide.sort_index(level=names, sort_remaining=False, kind="stable")
        .reset_index()
        .drop(columns="k")
    )


def _warnings(part: pd.DataFrame) -> str:
    warned = part[part["warning"] != ""]
    return "; ".join(f"{row['filler']}: {row['warning']}" for row in records(warned))


def _order(rows: pd.DataFrame) -> Any:
    places = {"model": {m: i for i, m in enumerate(rows["model"].unique())}}
    places["filler"] = {filler: i for i, filler in enumerate(FILLERS)}
    return lambda c: c.map(places[c.name]) if c.name in places else c


def drop(rows: pd.DataFrame, by: list[str] | None = None) -> pd.DataFrame:
    """What the tail costs: accuracy at its best k minus at the largest k, over the same items.

    In points of 100; the intervals over items and over relevant tasks are t intervals, `items_p` is
    an exact sign test, stricter than the interval. Items of a set share their examples, and sets of
    a task are alike, so that tests over items find what holds for these examples; those over tasks,
    what holds for others, too. The best k is chosen by the same rows, which flatters it:
    `from_start_points` is the drop from the smallest k, which isn't (over tasks; over items where
    there is one). `_holm` are p-values corrected for a model's rows of the table. `degradation` is
    (max - min) / max over k, as in the paper's tables, with a bootstrap interval over tasks;
    `degradation_null` is what noise alone makes of it. `significant_from` is the smallest k at
    which accuracy is below the smallest k's, by the same tests as `changes`.
    """
    found = []
    for named, part in grouped(rows, [*SERIES, *(by or [])]):
        wide = by_amount(part, "correct")
        if len(wide) == 0 or wide.shape[1] < 2:
            continue
        names = dict(zip(part["k"], part["amount"], strict=True))
        first, last = wide.columns[0], wide.columns[-1]
        best = wide.columns[int(np.argmax(wide.mean().to_numpy()))]
        items = stats.paired_hits(wide[best].to_numpy(), wide[last].to_numpy())
        start = difference(wide[first] - wide[last], hits=True)
        line = named | {"smallest": names[first], "best": names[best], "largest": names[last]}
        line |= {"n": items.n, "points": 100 * items.mean}
        line |= ends("items", items) | {"items_p": items.p}
        if not by:
            line |= ends("tasks", over_tasks(wide[best] - wide[last]))
        line |= {"from_start_points": 100 * start.mean} | ends("from_start_points", start)
        line["from_start_points_p"] = start.p
        if not by:
            line |= degradation(wide)
            line["significant_from"] = _significant(wide, [names[k] for k in wide.columns])
        found.append(line)
    return corrected(pd.DataFrame(found), ("items", "from_start_points"))


def _significant(wide: pd.DataFrame, names: Sequence[str]) -> str:
    first, *others = wide.columns
    tests = [difference(wide[k] - wide[first], hits=True) for k in others]
    corrected = stats.holm([test.p for test in tests])
    worse = [
        name
        for name, test, p in zip(names[1:], tests, corrected, strict=True)
        if test.mean < 0 and p < 1 - stats.LEVEL
    ]
    return worse[0] if worse else ""


def changes(rows: pd.DataFrame) -> pd.DataFrame:
    """Every k against the smallest k over the same items: accuracy and probability, in points.

    Intervals and tests are over relevant tasks (t tests), or over the items of a single one;
    `_holm` are p-values corrected for the number of k in a series. `units` counts tasks or items.
    """
    found = []
    for named, part in grouped(rows, SERIES):
        names = dict(zip(part["k"], part["amount"], strict=True))
        both = both_by_amount(part)
        first, *others = both[0].columns
        lines = [compared(*(w[k] - w[first] for w in both), hits=True) for k in others]
        found += [
            named | {"amount": names[k], "against": names[first]} | line
            for k, line in zip(others, corrected_lines(lines), strict=True)
        ]
    return pd.DataFrame(found)


def controls(rows: pd.DataFrame) -> pd.DataFrame:
    """Masks minus each other filler at the same k over the same items: what is the masks' doing.

    In points of 100; negative where masks cost more than an equally long tail. Intervals and tests
    as in `changes`.
    """
    found = []
    for named, part in grouped(rows[rows["filler"] != "none"], [*CONTEXT, "side"]):
        masks = part[(part["filler"] == "mask") & (part["steps"] == 1)]
        names = dict(zip(part["k"], part["amount"], strict=True))
        ours = both_by_amount(masks)
        for filler in part["filler"].unique():
            theirs = both_by_amount(part[part["filler"] == filler])
            shared = [k for k in ours[0].columns if k in theirs[0].columns and k != 0]
            if filler == "mask" or not shared:
                continue
            both = list(zip(ours, theirs, strict=True))
            lines = [compared(*(o[k] - t[k] for o, t in both), hits=True) for k in shared]
            found += [
                named | {"amount": names[k], "control": filler} | line
                for k, line in zip(shared, corrected_lines(lines), strict=True)
            ]
    return pd.DataFrame(found)


# ---------------------------------------------------------------------- comparing


def answered(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with the probability of the right answer, `p_right`, and amounts as typed."""
    right = np.exp(pd.to_numeric(frame["logp_right"]))
    return with_task(frame).assign(p_right=right, amount=_text(frame))


def lost(frame: pd.DataFrame) -> pd.DataFrame:
    """What the tail costs each item: a hit at the smallest k minus one at the largest."""
    rows = series(frame)
    by = rows.groupby(SERIES, observed=True)["k"]
    ends = [rows[rows["k"] == by.transform(end)] for end in ("min", "max")]
    keys = [*SERIES[1:], *ITEM]
    both = ends[0].merge(ends[1], on=keys, suffixes=("", "_largest"))
    both = both[both["k"] < both["k_largest"]]
    drops = {measure: both[measure] - both[f"{measure}_largest"] for measure in MEASURES}
    ks = {"smallest": both["amount"], "largest": both["amount_largest"]}
    return both[keys].assign(**drops, **ks)


TAIL = (*SERIES[3:], *SERIES[1:3])
PAIRED = (
    Pairing(
        {
            "correct": Measure("accuracy (points)", hits=True, scale=100, better="more"),
            "p_right": Measure(
                "probability of the right answer (points)", scale=100, better="more"
            ),
            "entropy": Measure("entropy (nats)"),
        },
        item=ITEM,
        by=(*TAIL, "amount"),
        cluster=RELEVANT,
        rows=answered,
    ),
    Pairing(
        {
            "correct": Measure("accuracy lost to the tail (points)", scale=100, better="less"),
            "p_right": Measure("probability lost to the tail (points)", scale=100, better="less"),
        },
        item=ITEM,
        by=(*TAIL, "smallest", "largest"),
        cluster=RELEVANT,
        name="drop",
        rows=lost,
    ),
)
