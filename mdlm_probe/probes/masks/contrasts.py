"""Contrasts of arXiv 2511.21338 that are more than one curve: steps, lengths, shots and masks.

Each is over the same items, or over the same relevant tasks, with an interval and a test.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.frames import grouped
from mdlm_probe.probes._few_shot.report_parts import RELEVANT
from mdlm_probe.probes.masks.item_pairs import (
    CONTEXT,
    MEASURES,
    SERIES,
    by_amount,
    compared,
    corrected_lines,
)

FEW, MANY = "2", "20%"
"""The amounts that the paper compares by the number of distractors."""


def rank(masks: str) -> float:
    """A number by which amounts sort: counts, then shares, then "max"."""
    if masks == "max":
        return 1e12
    return 1e9 + float(masks[:-1]) if masks.endswith("%") else float(masks)


def steps(rows: pd.DataFrame) -> pd.DataFrame:
    """Masks filled in several steps minus the same masks in one step, over the same items.

    In points of 100, by order and number of masks; positive where steps recover what masks cost.
    Intervals and tests as in `changes`; `_holm` are p-values corrected for the k of an order.
    """
    found = []
    masks = rows[(rows["filler"] == "mask") & (rows["appended"] > 0)]
    for named, part in grouped(masks, [*CONTEXT, "side"]):
        amounts = dict(zip(part["k"], part["masks"], strict=True))
        ones = [by_amount(part[part["steps"] == 1], measure) for measure in MEASURES]
        for how, own in grouped(part[part["steps"] > 1], ["steps", "order"]):
            several = [by_amount(own, measure) for measure in MEASURES]
            both = list(zip(several, ones, strict=True))
            shared = [k for k in several[0].columns if k in ones[0].columns]
            lines = [compared(*(w[k] - one[k] for w, one in both), hits=True) for k in shared]
            found += [
                named | how | {"masks": amounts[k]} | line
                for k, line in zip(shared, corrected_lines(lines), strict=True)
            ]
    return pd.DataFrame(found)


def lengths(rows: pd.DataFrame) -> pd.DataFrame:
    """Few masks minus many by the number of distractors, and how that changes (interaction).

    In points of 100. Few and many are 2 and 20 % of the prompt, as in the paper, where both were
    asked at every number of distractors; else the least and the most that were. The last line of a
    series, such as "30 - 0", is the interaction: the difference at the most distractors minus that
    at the fewest, over the same items; above 0 masks cost more in longer contexts. Intervals and
    tests as in `changes`; `_holm` are p-values corrected for a series.
    """
    found = []
    for named, part in grouped(rows, [name for name in SERIES if name != "distractors"]):
        counts = sorted(part["distractors"].unique())
        by_count = [part[part["distractors"] == count] for count in counts]
        shared = set.intersection(*(set(own["masks"]) for own in by_count))
        amounts = sorted(shared, key=rank)
        if len(counts) < 2 or len(amounts) < 2:
            continue
        few, many = (FEW, MANY) if {FEW, MANY} <= shared else (amounts[0], amounts[-1])
        gaps = []
        for own in by_count:
            sides = [by_amount(own, measure, "masks") for measure in MEASURES]
            gaps.append([side[few] - side[many] for side in sides])
        lines = [compared(*gap, hits=True) for gap in gaps]
        more = [last - first for first, last in zip(gaps[0], gaps[-1], strict=True)]
        lines.append(compared(*more, hits=False, most=200))
        heads = [*map(str, counts), f"{counts[-1]} - {counts[0]}"]
        found += [
            named | {"few": few, "many": many, "distractors": head} | line
            for head, line in zip(heads, corrected_lines(lines), strict=True)
        ]
    return pd.DataFrame(found)


def gain(frame: pd.DataFrame) -> pd.DataFrame:
    """What relevant examples add to accuracy against what masks take of it, by relevant task.

    `gain` is accuracy with most shots minus that with fewest, nothing appended; `drop` is accuracy
    with most shots and nothing appended minus that at the most masks; both in points of 100. A line
    for each relevant task, then the means over tasks with their intervals and tests, and their
    difference. `correlation` is that of gain and drop over tasks (as in appendix A.3 of arXiv
    2511.21338): gain is of one half of the test points and drop of the other, both ways, since the
    accuracy that both begin from would correlate them by its noise. Few items make it smaller.
    """
    found: list[dict[str, Any]] = []
    start = frame[frame["filler"] == "none"]
    tails = frame[frame["filler"] == "mask"]
    for named, part in grouped(tails, ["model", "distractors", *SERIES[4:]]):
        own = start[
            (start["model"] == named["model"]) & (start["distractors"] == named["distractors"])
        ]
        fewest, most = own["shots"].min(), part["shots"].max()
        masked = part[part["shots"] == most]
        if not fewest < most or not (own["shots"] == most).any():
            continue
        largest = masked.groupby("masks")["appended"].mean().idxmax()
        three = [own[own["shots"] == most], own[own["shots"] == fewest]]
        three.append(masked[masked["masks"] == largest])
        head = named | {"shots": f"{most} - {fewest}", "masks": largest}
        found += [head | line for line in _gains(three)]
    return pd.DataFrame(found)


def _gains(three: list[pd.DataFrame]) -> list[dict[str, Any]]:
    """The lines of one setting, from the rows with shots, without, and with shots and masks."""
    means = [rows.groupby(RELEVANT, observed=True)["correct"].mean() for rows in three]
    whole = pd.DataFrame({"gain": means[0] - means[1], "drop": means[0] - means[2]}).dropna()
    items = min(len(rows) for rows in three)
    lines: list[dict[str, Any]] = [
        {"part": str(task), "gain": 100 * row["gain"], "drop": 100 * row["drop"]}
        for task, row in whole.iterrows()
    ]
    both = {name: stats.mean(whole[name].to_numpy()) for name in ("gain", "drop")}
    both["difference"] = stats.mean((whole["gain"] - whole["drop"]).to_numpy())
    line: dict[str, Any] = {"part": "all"}
    for name, value in both.items():
        line |= {name: 100 * value.mean} | value.times(100).ends(name) | {f"{name}_p": value.p}
    alike = correlation_of(three)
    line |= alike.columns("correlation") | {"correlation_p": alike.p}
    return [*lines, line | {"n": items, "tasks": len(whole)}]


def correlation_of(three: list[pd.DataFrame]) -> stats.Estimate:
    """Of gain and drop over relevant tasks, each of another half of the items, both ways."""
    parity = [rows.assign(half=rows["item"] % 2) for rows in three]
    means = [rows.groupby(["half", RELEVANT], observed=True)["correct"].mean() for rows in parity]
    if any({0, 1} - set(mean.index.get_level_values("half")) for mean in means):
        return stats.Estimate(float("nan"), float("nan"), float("nan"), 0)
    halves = [[mean.loc[half] for mean in means] for half in (0, 1)]
    gains = [shots - none for shots, none, _ in halves]
    drops = [shots - masked for shots, _, masked in halves[::-1]]
    table = pd.concat([*gains, *drops], axis=1).dropna().to_numpy(dtype=float).T
    return stats.correlation(table[:2], table[2:])
