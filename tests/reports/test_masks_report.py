"""The masks report: tables from hand-made rows, and pictures that show them."""

import itertools

import numpy as np
import pandas as pd
import pytest

from mdlm_probe import stats
from mdlm_probe.reports import masks

AMOUNTS = ("0", "10", "100")


def frame(hit, amounts=AMOUNTS, fillers=("mask", "dot"), models=("m",), **fixed):
    """Rows of two sets of ten items; `hit(filler, k, item)` says which are right."""
    rows = []
    for model, name, item in itertools.product(models, ("a-x", "b-x"), range(10)):
        tails = [(f, k) for f in fillers for k in amounts if k != "0"]
        for filler, k in [("none", "0")] * ("0" in amounts) + tails:
            right = bool(hit(filler, k, item))
            rows.append(
                {"model": model, "suite": "s", "set": name, "item": item, "masks": k}
                | {"shots": 10, "distractors": 40, "filler": filler, "steps": 1, "order": "none"}
                | {"side": "none" if filler == "none" else "right", "correct": int(right)}
                | {"logp_right": np.log(0.8 if right else 0.2), "entropy": 1.0, "top1_prob": 0.5}
                | {"appended": 0 if k == "0" else 50, "mask_tokens": 1, "step": 1}
                | fixed
            )
    return pd.DataFrame(rows)


def falling(filler, k, item):
    """Masks: 10, 7, 4 of ten right; dots: all."""
    return filler != "mask" or item < {"10": 7, "100": 4}[k]


def test_every_curve_starts_where_nothing_is_appended():
    table = masks.curve(masks.series(frame(falling)))
    curves = {f: part["accuracy"].tolist() for f, part in table.groupby("filler")}
    assert curves["mask"] == pytest.approx([1, 0.7, 0.4])
    assert curves["dot"] == [1, 1, 1]
    row = table[(table["filler"] == "mask") & (table["masks"] == "10")].iloc[0]
    expected = stats.proportion(np.array([1] * 14 + [0] * 6))
    assert (row["items_low"], row["items_high"]) == (expected.low, expected.high)
    assert row["p_right"] == pytest.approx(0.7 * 0.8 + 0.3 * 0.2)
    assert row["n"] == 20
    assert row["sets"] == 2


def test_the_drop_is_best_minus_largest_over_the_same_items():
    table = masks.drop(masks.series(frame(falling))).set_index("filler")
    row = table.loc["mask"]
    assert (row["smallest"], row["best"], row["largest"]) == ("0", "0", "100")
    assert row["points"] == pytest.approx(60)
    assert row["from_start"] == pytest.approx(60)
    expected = stats.paired_hits(np.ones(20), np.array(([1] * 4 + [0] * 6) * 2))
    assert row["items_low"] == pytest.approx(100 * expected.low)
    assert row["items_p"] == pytest.approx(2 * 0.5**12)
    assert row["degradation"] == pytest.approx(0.6)
    assert row["degradation_low"] < 0.6 < row["degradation_high"]
    assert table.loc["dot", "points"] == 0
    assert table.loc["dot", "significant_from"] == ""


def test_significance_is_corrected_for_the_number_of_amounts():
    """Six of twenty lost: p = 2^-5 = .031 alone; twelve lost: p = 2^-11. Holm keeps both."""
    row = masks.drop(masks.series(frame(falling))).set_index("filler").loc["mask"]
    assert row["significant_from"] == "10"
    changed = masks.changes(masks.series(frame(falling)))
    tested = changed[changed["filler"] == "mask"].set_index("masks")
    assert tested.loc["10", "accuracy_p"] == pytest.approx(2 * 0.5**6)
    assert tested.loc["100", "accuracy_holm"] == pytest.approx(2 * 2 * 0.5**12)
    five = frame(lambda f, k, i: f != "mask" or i < 10 - 5 * (k == "10") / 2)
    (row,) = masks.drop(masks.series(five)).query("filler == 'mask'").to_dict("records")
    assert row["significant_from"] == "", "three of ten in two sets: .031 doubled is over .05"
    assert row["best"] == "0"


def test_a_rise_is_no_drop():
    rising = frame(lambda f, k, i: i < {"0": 2, "10": 5, "100": 9}[k], fillers=("mask",))
    (row,) = masks.drop(masks.series(rising)).to_dict("records")
    assert (row["best"], row["points"], row["significant_from"]) == ("100", 0, "")
    assert row["from_start"] == pytest.approx(-70)


def test_controls_are_masks_minus_the_same_number_of_something_else():
    table = masks.controls(masks.series(frame(falling))).set_index("masks")
    assert table["control"].tolist() == ["dot", "dot"]
    assert table["accuracy"].tolist() == pytest.approx([-30, -60])
    assert table["p_right"].tolist() == pytest.approx([-18, -36])
    assert table.loc["100", "accuracy_p"] == pytest.approx(2 * 0.5**12)
    assert (table["accuracy_holm"] >= table["accuracy_p"]).all()


def test_tasks_and_overview():
    found = masks.tables(frame(falling))
    assert set(masks.PRINTED) <= set(found)
    tasks = found["tasks"].query("filler == 'mask'")
    assert tasks["set"].tolist() == ["a-x", "b-x"]
    assert tasks["points"].tolist() == pytest.approx([60, 60])
    assert tasks["n"].tolist() == [10, 10]
    look = found["overview"].set_index("masks")
    assert look["accuracy mask"].tolist() == pytest.approx([1, 0.7, 0.4])
    assert look["accuracy dot"].tolist() == [1, 1, 1]


def test_counts_that_pandas_reads_as_numbers_are_the_same():
    rows = frame(falling)
    as_numbers = rows.assign(masks=rows["masks"].astype(int))
    pd.testing.assert_frame_equal(
        masks.curve(masks.series(rows)), masks.curve(masks.series(as_numbers))
    )


def test_shares_sort_after_counts_and_max_comes_last():
    rows = frame(lambda f, k, i: True, amounts=("0", "max", "20%", "5%", "100", "5"))
    table = masks.curve(masks.series(rows)).query("filler == 'mask'")
    assert table["masks"].tolist() == ["0", "5", "100", "5%", "20%", "max"]


def test_runs_without_a_start_or_without_tails():
    no_start = masks.tables(frame(falling, amounts=("10", "100")))
    assert no_start["drop"].set_index("filler").loc["mask", "points"] == pytest.approx(30)
    only_start = masks.tables(frame(falling, amounts=("0",)))
    assert only_start["curve"]["accuracy"].tolist() == [1]
    assert len(only_start["drop"]) == 0
    masks.figures(frame(falling, amounts=("0",)))


def test_a_test_point_that_misses_an_amount_is_left_out_of_pairs():
    rows = frame(falling)
    cut = rows.drop(rows[(rows["item"] == 9) & (rows["masks"] == "100")].index)
    assert masks.drop(masks.series(cut))["n"].tolist() == [18, 18]


def test_the_figure_shows_the_tables_numbers():
    drawn = masks.figures(frame(falling, models=("m", "n")))
    assert set(drawn) == {"", "certainty"}
    accuracy, right = drawn[""].axes[:2]
    curves = {line.get_label(): line for line in accuracy.lines}
    assert list(curves) == ["masks", "dots"]
    assert list(curves["masks"].get_ydata()) == pytest.approx([100, 70, 40])
    assert curves["masks"].get_color() != curves["dots"].get_color()
    assert accuracy.get_title() == "m"
    assert "probability" in right.get_ylabel()
    assert len(drawn[""].axes) == 4


def test_contexts_sides_and_steps_get_their_own_places():
    rows = pd.concat(
        [
            frame(falling),
            frame(falling, distractors=0),
            frame(falling, side="left").query("filler != 'none'"),
            frame(falling, fillers=("mask",), steps=4, order="random").query("filler != 'none'"),
        ]
    )
    drawn = masks.figures(rows)
    assert set(drawn) == {"", "certainty", "context"}
    titles = {axis.get_title() for axis in drawn[""].axes}
    assert titles == {"m, after", "m, before"}
    labels = {line.get_label() for axis in drawn[""].axes for line in axis.lines}
    assert labels == {"masks", "dots", "masks, 4 steps (random)"}
    (line,) = [
        line for line in drawn["context"].axes[0].lines if line.get_label() == "10 masks, after"
    ]
    assert list(line.get_xdata()) == [10, 50]
