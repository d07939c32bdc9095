"""The paper's figures of masks: of which rows, their mean over steps, and what tuning changed."""

import itertools

import numpy as np
import pandas as pd
import pytest

from mdlm_probe.analysis.stats import resampling
from mdlm_probe.probes.masks import charts, degradation, paper_measures, report

STEPS, AMOUNTS = (1, 2, 4, 6), (0, 200, 800)
TASKS = {"a": 4, "b": 4, "c": 6}
"""Relevant tasks and their items."""


def rows(share, distractors=(0,), seed=0):
    """Rows of a model: `share(steps, k, distractors)` of the hits are right, at random."""
    rng = np.random.default_rng(seed)
    found = []
    for context, (task, items) in itertools.product(distractors, TASKS.items()):
        for item, steps, k in itertools.product(range(items), STEPS, AMOUNTS):
            if k == 0 and steps > 1:
                continue  # nothing is appended once, for all numbers of steps
            right = rng.random() < share(steps, k, context)
            found.append(
                {"model": "m", "suite": "s", "set": f"{task}-x", "task": task, "item": item}
                | {"shots": 5, "distractors": context, "filler": "mask" if k else "none"}
                | {"side": "right" if k else "none", "steps": steps, "amount": str(k)}
                | {"order": "random" if steps > 1 else "none", "appended": k, "mask_tokens": k}
                | {"correct": int(right), "logp_right": -1.0, "entropy": 1.0, "top1_prob": 0.5}
                | {"answer_step": 1}
            )
    return pd.DataFrame(found)


def by_hand(hits):
    """The mean over steps of (max - min) / max of the share of hits, from nested dictionaries."""
    found = []
    for steps in (2, 4, 6):
        shares = [np.mean([own[steps, k] for own in hits]) for k in AMOUNTS]
        found.append((max(shares) - min(shares)) / max(shares))
    return float(np.mean(found))


def nested(frame):
    """Every item's hit by (steps, k), items by task."""
    found = {task: {} for task in TASKS}
    for row in frame.to_dict("records"):
        own = found[row["task"]].setdefault(row["item"], {})
        k = int(row["amount"])
        for steps in STEPS if k == 0 else (row["steps"],):
            own[steps, k] = row["correct"]
    return {task: list(items.values()) for task, items in found.items()}


@pytest.fixture(scope="module")
def sides():
    before = rows(lambda steps, k, d: 0.9 - k / 1600, seed=1)
    return before, rows(lambda steps, k, d: 0.9 - k / 3200, seed=2)


def of(frames):
    return [paper_measures.few_steps(report.series(frame)) for frame in frames]


def test_the_mean_over_steps_is_that_by_hand(sides):
    (line,) = paper_measures.mean_degradation(report.series(sides[0])).to_dict("records")
    items = [item for task in nested(sides[0]).values() for item in task]
    assert line["degradation"] == pytest.approx(by_hand(items))
    assert line["degradation_low"] < line["degradation"] < line["degradation_high"]
    assert (line["steps"], line["n"], line["tasks"]) == ("2, 4, 6", 14, 3)


def test_the_change_resamples_tasks_with_all_their_steps_on_both_sides(sides):
    """Brute force: every resample's items, copied out, and its two degradations by hand."""
    before, after = (nested(frame) for frame in sides)
    (weights,) = resampling._weights(3)
    gaps = []
    for counts in (3 * weights).round().astype(int):
        drawn = np.repeat(list(TASKS), counts)
        both = [by_hand([i for task in drawn for i in side[task]]) for side in (before, after)]
        gaps.append(both[1] - both[0])
    found = degradation.change_over_steps(*of(sides))
    whole = [by_hand([i for task in side.values() for i in task]) for side in (before, after)]
    assert found.mean == pytest.approx(whole[1] - whole[0])
    # of three tasks a t interval is so wide that all resamples lie in it
    assert (found.low, found.high) == pytest.approx((min(gaps), max(gaps)))


def test_the_same_rows_have_changed_in_nothing(sides):
    first, _ = of(sides)
    assert degradation.change_over_steps(first, first).mean == 0
    one = paper_measures.one_step(report.series(sides[0]))
    assert degradation.change_of_drop(one, one).mean == 0


def test_what_a_drop_gained(sides):
    before, after = (paper_measures.one_step(report.series(frame)) for frame in sides)
    shares = [side.mean() for side in (before, after)]
    gap = [share.max() - share.iloc[-1] for share in shares]
    found = degradation.change_of_drop(before, after)
    assert found.mean == pytest.approx(gap[1] - gap[0])
    assert found.low <= found.mean <= found.high


@pytest.mark.slow
def test_of_several_contexts_the_first_is_published():
    """Ten distractors cost everything, none nothing; the figures are of none."""
    frame = rows(lambda steps, k, d: 1 if d == 0 or k == 0 else 0, distractors=(0, 10))
    found = {one.what: one.value for one in charts.ours(report.tables(frame))}
    assert found == {charts.DROP: 0, charts.FEW: 0}


def test_without_one_of_the_steps_there_is_no_mean(sides):
    frame = sides[0][sides[0]["steps"] != 4]
    assert not len(paper_measures.mean_degradation(report.series(frame)))
    assert [one.what for one in charts.ours_changed(frame, frame)] == [charts.DROP]
