"""Contrasts of arXiv 2511.21338 that are more than one curve: steps, lengths, shots and masks.

Each is over the same items, or over the same relevant tasks, with an interval and a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.frames import grouped
from mdlm_probe.probes._few_shot.report_parts import RELEVANT
from mdlm_probe.probes.masks.item_pairs import (
    CONTEXT,
    SERIES,
    both_by_amount,
    compared,
    corrected_lines,
    ends,
)

FEW, MANY = ("1", "2"), "20%"
"""What the paper compares by the number of distractors; its 2 masks count the answer's own."""


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
        amounts = dict(zip(part["k"], part["amount"], strict=True))
        ones = both_by_amount(part[part["steps"] == 1])
        for how, own in grouped(part[part["steps"] > 1], ["steps", "order"]):
            several = both_by_amount(own)
            both = list(zip(several, ones, strict=True))
            shared = [k for k in several[0].columns if k in ones[0].columns]
            lines = [compared(*(w[k] - one[k] for w, one in both), hits=True) for k in shared]
            found += [
                named | how | {"amount": amounts[k]} | line
                for k, line in zip(shared, corrected_lines(lines), strict=True)
            ]
    return pd.DataFrame(found)


def lengths(rows: pd.DataFrame) -> pd.DataFrame:
    """Few masks minus many by the number of distractors, and how that changes (interaction).

    In points of 100. Few and many are 1 (or 2) appended and 20 % of the prompt, as in the
    paper, where both were asked at every number of distractors; else the least and the most that
    were. The last line of a
    series, such as "30 - 0", is the interaction: the difference at the most distractors minus that
    at the fewest, over the same items; above 0 masks cost more in longer contexts. Intervals and
    tests as in `changes`; `_holm` are p-values corrected for a series.
    """
    found = []
    for named, part in grouped(rows, [name for name in SERIES if name != "distractors"]):
        counts = sorted(part["distractors"].unique())
        by_count = [part[part["distractors"] == count] for count in counts]
        shared = set.intersection(*(set(own["amount"]) for own in by_count))
        amounts = sorted(shared, key=rank)
        if len(counts) < 2 or len(amounts) < 2:
            continue
        known = [few for few in FEW if few in shared and MANY in shared]
        few, many = (known[0], MANY) if known else (amounts[0], amounts[-1])
        gaps = []
        for own in by_count:
            sides = both_by_amount(own, "amount")
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
    """What relevant examples add to accuracy against what masks take of it, over relevant tasks.

    `gain_points` is accuracy with most shots minus that with fewest, nothing appended;
    `drop_points` is accuracy with most shots and nothing appended minus that at the most masks;
    `difference_points` is gain minus drop; all in points of 100, means over tasks with t intervals
    and tests. `correlation` is that of gain and drop over tasks (as in appendix A.3 of arXiv
    2511.21338): gain is of one half of the test points and drop of the other, both ways, since the
    accuracy that both begin from would correlate them by its noise. Few items make it smaller.
    """
    return pd.DataFrame([head | _tested(three) for head, three in _shots_and_masks(frame)])


def gains(frame: pd.DataFrame) -> pd.DataFrame:
    """What relevant examples add, and what masks take, of each relevant task; see `gain`."""
    return pd.DataFrame(
        [
            head
            | {
                RELEVANT: str(task),
                "gain_points": 100 * row["gain"],
                "drop_points": 100 * row["drop"],
            }
            for head, three in _shots_and_masks(frame)
            for task, row in _by_task(three).iterrows()
        ]
    )


Three = list[pd.DataFrame]
"""Rows with shots, without, and with shots and masks."""


def _shots_and_masks(frame: pd.DataFrame) -> Iterator[tuple[dict[str, Any], Three]]:
    """The settings that were asked with several numbers of shots, and their rows."""
    start = frame[frame["filler"] == "none"]
    tails = frame[frame["filler"] == "mask"]
    for named, part in grouped(tails, ["model", "distractors", *SERIES[4:]]):
        own = start[
            (start["model"] == named["model"]) & (start["distractors"] == named["distractors"])
        ]
        fewest, most = own["shots"].min(), part["shots"].max()
        if not fewest < most or not (own["shots"] == most).any():
            continue
        masked = part[part["shots"] == most]
        largest = masked.groupby("amount")["appended"].mean().idxmax()
        three = [own[own["shots"] == most], own[own["shots"] == fewest]]
        three.append(masked[masked["amount"] == largest])
        yield named | {"shots": f"{most} - {fewest}", "amount": largest}, three


def _by_task(three: Three) -> pd.DataFrame:
    shots, none, masked = (
        rows.groupby(RELEVANT, observed=True)["correct"].mean() for rows in three
    )
    return pd.DataFrame({"gain": shots - none, "drop": shots - masked}).dropna()


def _tested(three: Three) -> dict[str, Any]:
    tasks = _by_task(three)
    found = {name: stats.mean(tasks[name].to_numpy()) for name in ("gain", "drop")}
    found["difference"] = stats.mean((tasks["gain"] - tasks["drop"]).to_numpy())
    line: dict[str, Any] = {"n": min(map(len, three)), "tasks": len(tasks)}
    for name, value in found.items():
        points = f"{name}_points"
        line |= {points: 100 * value.mean} | ends(points, value, 200) | {f"{points}_p": value.p}
    alike = correlation_of(three)
    return line | alike.columns("correlation") | {"correlation_p": alike.p}


def correlation_of(three: Three) -> stats.Estimate:
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
