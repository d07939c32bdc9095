"""Contrasts of locality: planted shapes are found, and their numbers are those of closed forms."""

import numpy as np
import pandas as pd
import pytest

from mdlm_probe.analysis import stats
from mdlm_probe.probes.locality import report as locality

TASKS = "abcdefgh"


def run(
    accuracy,
    *,
    questions=("right",),
    masks=(0,),
    positions=(0, 10, 20, 30, 40),
    spread=0.0,
    items=20,
):
    """Rows of 16 sets; of their items so many are right as `accuracy(question, masks, position)`.

    Relevant tasks have up to `spread` more or less of that at the far left.
    """
    found = []
    for question in questions:
        for k in masks:
            for place in positions:
                for n, task in enumerate(TASKS):
                    for other in ("x", "y"):
                        own = spread * (n / 3.5 - 1) * (place == positions[0])
                        share = accuracy(question, k, place) + own
                        right = np.arange(items) < round(items * share)
                        at = {
                            "question": question,
                            "question_masks": k,
                            "position": place,
                            "task": task,
                        }
                        at |= {"set": f"{task}-{other}", "item": range(items), "correct": right * 1}
                        found.append(pd.DataFrame(at))
    more = {"model": "m", "shots": 10, "distractors": 40, "options": 3, "logp_right": -1.0}
    return pd.concat(found, ignore_index=True).assign(**more)


U = {0: 0.87, 10: 0.45, 20: 0.4, 30: 0.45, 40: 0.87}


def test_a_planted_u_is_found_where_the_index_is_0():
    rows = run(lambda question, k, place: U[place], spread=0.1, items=100)
    (index,) = locality.index(rows).to_dict("records")
    assert index["index"] == pytest.approx(0, abs=1e-12)
    assert index["tasks_p"] > 0.9
    table = locality.shape(rows).set_index("part")
    assert table["value"].to_dict() == pytest.approx(dict.fromkeys(table.index, 0.47))
    assert list(table.index) == ["primacy", "recency", "ends - middle"]
    for part in ("primacy", "ends - middle"):
        line = table.loc[part]
        assert 0 < line["tasks_low"] < 0.47 < line["tasks_high"]
        assert line["tasks_p"] <= line["tasks_holm"] < 1e-4
    left = np.round(100 * (0.87 + 0.1 * (np.arange(8) / 3.5 - 1))) / 100
    found = stats.mean(left - 0.4)
    ends = (found.low, found.high, found.p)
    assert tuple(table.loc["primacy", ["tasks_low", "tasks_high", "tasks_p"]]) == pytest.approx(
        ends
    )
    found = stats.mean((left + 0.87) / 2 - 0.4)
    ends = (found.low, found.high, found.p)
    line = table.loc["ends - middle"]
    assert tuple(line[["tasks_low", "tasks_high", "tasks_p"]]) == pytest.approx(ends)
    assert line["items_p"] < 1e-9
    assert (line["n"], line["tasks"]) == (1600, 8)


def test_a_slope_is_no_u():
    rows = run(lambda question, k, place: 0.4 + place / 100, spread=0.1)
    table = locality.shape(rows).set_index("part")
    assert table["value"].to_dict() == pytest.approx(
        {"primacy": -0.2, "recency": 0.2, "ends - middle": 0.0}, abs=1e-12
    )
    assert table.loc["ends - middle", "tasks_p"] > 0.9


@pytest.mark.parametrize(
    ("positions", "middle"), [((0, 10, 40), 0.45), ((0, 10, 30, 40), 0.45), ((0, 20, 30, 40), 0.4)]
)
def test_the_middle_is_what_is_nearest_to_halfway(positions, middle):
    table = locality.shape(run(lambda question, k, place: U[place], positions=positions, items=100))
    assert table["value"].tolist() == pytest.approx([0.87 - middle] * 3)


def test_two_positions_have_no_shape():
    rows = run(lambda question, k, place: U[place], positions=(0, 40))
    assert set(locality.tables(rows)) == {"accuracy", "index"}
    assert len(locality.PAIRED[2].rows(rows)) == 0


def test_an_index_that_masks_flatten():
    """.9 to .5 without masks, .5 to .4 under 50, and .4 to .45 under 200."""
    far, near = {0: 0.5, 50: 0.4, 200: 0.45}, {0: 0.9, 50: 0.5, 200: 0.4}
    rows = run(
        lambda question, k, place: near[k] if place == 40 else far[k],
        masks=(0, 50, 200),
        positions=(0, 40),
        spread=0.1,
    )
    rows.loc[
        rows["question_masks"].ne(0) & rows["position"].eq(0) & rows["task"].eq("a"), "correct"
    ] = 0
    table = locality.tables(rows)["change"].set_index("question_masks")
    assert table["against"].tolist() == [0, 0]
    index = rows.groupby(["question_masks", "task", "position"])["correct"].mean().unstack()
    index = (index[40] - index[0]).unstack()
    for k in (50, 200):
        found = stats.mean(index.loc[k].to_numpy() - index.loc[0].to_numpy())
        line = table.loc[k]
        assert line["index_change"] == pytest.approx(found.mean)
        ends = (found.low, found.high, found.p)
        assert tuple(line[["tasks_low", "tasks_high", "tasks_p"]]) == pytest.approx(ends)
    assert table["tasks_holm"].tolist() == pytest.approx(list(stats.holm(list(table["tasks_p"]))))
    assert "change" not in locality.tables(rows[rows["question_masks"] == 0])


LEVEL = {"left": 0.4, "middle": 0.6, "right": 0.8}


def test_the_question_at_the_left_is_lowest():
    rows = run(lambda question, k, place: LEVEL[question], questions=tuple(LEVEL), spread=0.1)
    own = rows["question"].ne("left") & rows["task"].eq("a")
    rows.loc[own & rows["position"].eq(10) & rows["item"].lt(2), "correct"] = 0
    table = locality.tables(rows)["places"].set_index("contrast")
    means = rows.groupby(["task", "question"])["correct"].mean().unstack()
    for other in ("middle", "right"):
        found = stats.mean((means["left"] - means[other]).to_numpy())
        line = table.loc[f"left - {other}"]
        assert line["value"] == pytest.approx(found.mean)
        ends = (found.low, found.high, found.p)
        assert tuple(line[["tasks_low", "tasks_high", "tasks_p"]]) == pytest.approx(ends)
    lowest = table.loc["left - lowest other"]
    assert lowest["value"] == table.loc["left - middle", "value"]
    pair = table.loc[["left - middle", "left - right"], "tasks_p"]
    assert lowest["tasks_p"] == pair.max() < 0.001


def test_a_left_that_is_not_lowest_is_not_called_so():
    level = {"left": 0.5, "middle": 0.4, "right": 0.8}
    rows = run(lambda question, k, place: level[question], questions=tuple(level))
    table = locality.tables(rows)["places"].set_index("contrast")
    assert table.loc["left - lowest other", "value"] == pytest.approx(0.1)
    assert table.loc["left - lowest other", ["tasks_p", "items_p"]].tolist() == [1, 1]
    alone = locality.tables(rows[rows["question"] != "middle"])["places"]
    assert alone["contrast"].tolist() == ["left - right"]
    assert "places" not in locality.tables(rows[rows["question"] != "left"])
