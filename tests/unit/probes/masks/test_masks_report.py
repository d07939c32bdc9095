"""The masks report: tables from hand-made rows, and pictures that show them."""

import itertools

import numpy as np
import pandas as pd
import pytest
from pictured import outside, pictured

from mdlm_probe.analysis import stats
from mdlm_probe.probes.masks import charts
from mdlm_probe.probes.masks import report as masks

AMOUNTS = ("0", "10", "100")
LENGTHS = {"0": 0, "5": 5, "5%": 25, "10": 10, "20%": 100, "100": 100, "200": 200, "max": 400}
SETS = ("a-x", "b-x", "c-x", "d-x")


def frame(hit, amounts=AMOUNTS, fillers=("mask", "dot"), models=("m",), **fixed):
    """Rows of four sets of ten items; `hit(filler, k, item)` says which are right.

    Two sets have one item more right, two have one fewer, so that sets vary around the mean.
    """
    rows = []
    for model, (n, name), item in itertools.product(models, enumerate(SETS), range(10)):
        tails = [(f, k) for f in fillers for k in amounts if k != "0"]
        for filler, k in [("none", "0")] * ("0" in amounts) + tails:
            right = bool(hit(filler, k, item + (-1 if n % 2 else 1)))
            rows.append(
                {"model": model, "suite": "s", "set": name, "item": item, "amount": k}
                | {"shots": 10, "distractors": 40, "filler": filler, "steps": 1, "order": "none"}
                | {"side": "none" if filler == "none" else "right", "correct": int(right)}
                | {"logp_right": np.log(0.8 if right else 0.2), "entropy": 1.0, "top1_prob": 0.5}
                | {"appended": LENGTHS[k], "mask_tokens": 1, "answer_step": 1}
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
    row = table[(table["filler"] == "mask") & (table["amount"] == "10")].iloc[0]
    expected = stats.proportion(np.array([1] * 28 + [0] * 12))
    assert (row["items_low"], row["items_high"]) == (expected.low, expected.high)
    hits = [item < right for right in (6, 8, 6, 8) for item in range(10)]
    sets = stats.share_over(np.array(hits), np.repeat(SETS, 10))
    assert (row["tasks_low"], row["tasks_high"]) == pytest.approx((sets.low, sets.high))
    full = table[table["filler"] == "dot"].iloc[0]
    assert 0.4 < full["tasks_low"] < full["tasks_high"] == 1, (
        "sets that are all right have one, too"
    )
    assert row["p_right"] == pytest.approx(0.7 * 0.8 + 0.3 * 0.2)
    assert row["n"] == 40
    assert row["tasks"] == 4


def test_the_drop_is_best_minus_largest_over_the_same_items():
    table = masks.drop(masks.series(frame(falling))).set_index("filler")
    row = table.loc["mask"]
    assert (row["smallest"], row["best"], row["largest"]) == ("0", "0", "100")
    assert row["points"] == pytest.approx(60)
    assert row["from_start_points"] == pytest.approx(60)
    expected = stats.paired_hits(np.ones(40), np.array([1] * 16 + [0] * 24))
    assert row["items_low"] == pytest.approx(100 * expected.low)
    assert row["items_p"] == pytest.approx(2 * 0.5**24)
    sets = stats.mean(np.array([70.0, 50.0, 70.0, 50.0]))
    assert (row["tasks_low"], row["tasks_high"]) == pytest.approx((sets.low, sets.high))
    assert row["from_start_points_p"] == pytest.approx(sets.p)
    for name in ("items", "from_start_points"):  # masks and dots: two tests of a model
        expected = stats.holm(table[f"{name}_p"].to_numpy())
        assert table[f"{name}_holm"].to_numpy() == pytest.approx(expected)
    assert row["items_holm"] == pytest.approx(2 * row["items_p"])
    assert row["degradation"] == pytest.approx(0.6)
    assert row["degradation_low"] < 0.6 < row["degradation_high"]
    assert table.loc["dot", "points"] == 0
    assert table.loc["dot", "significant_from"] == ""


def test_tests_are_over_tasks_and_corrected_for_the_number_of_amounts():
    """Items of a set share their examples; a test that took them as independent would boast."""
    rows = masks.series(frame(falling))
    assert masks.drop(rows).set_index("filler").loc["mask", "significant_from"] == "10"
    tested = masks.changes(rows).query("filler == 'mask'").set_index("amount")
    alone = stats.mean(np.array([-0.4, -0.2, -0.4, -0.2]))
    assert tested.loc["10", "accuracy_points"] == pytest.approx(-30)
    assert tested.loc["10", "accuracy_points_p"] == pytest.approx(alone.p)
    assert tested.loc["10", "accuracy_points_holm"] == pytest.approx(
        max(alone.p, tested.loc["100", "accuracy_points_holm"])
    )
    assert tested.loc["100", "accuracy_points_holm"] == pytest.approx(
        2 * tested.loc["100", "accuracy_points_p"]
    )
    assert tested["units"].tolist() == [4, 4]
    one = masks.series(frame(falling).query("set == 'a-x'"))
    items = masks.changes(one).query("filler == 'mask'").set_index("amount")
    assert items.loc["100", "accuracy_points_p"] == pytest.approx(
        2 * 0.5**7
    )  # a sign test over items


def test_what_is_not_significant_is_not_named():
    few = frame(lambda f, k, i: f != "mask" or k == "100" or i < 10)  # two sets lose one item
    (row,) = masks.drop(masks.series(few)).query("filler == 'mask'").to_dict("records")
    assert row["significant_from"] == ""
    assert row["points"] == 0
    assert row["degradation"] > 0


def test_intervals_stay_within_a_hundred_points():
    rows = frame(falling).query("item in (4, 8) and set in ('a-x', 'b-x')")
    found = masks.tables(rows)
    for name in ("drop", "changes", "controls"):
        ends = [c for c in found[name] if c.endswith(("_low", "_high")) and "degrad" not in c]
        assert found[name][ends].abs().max().max() <= 100


def test_a_rise_is_no_drop():
    rising = frame(lambda f, k, i: i < {"0": 2, "10": 5, "100": 9}[k], fillers=("mask",))
    (row,) = masks.drop(masks.series(rising)).to_dict("records")
    assert (row["best"], row["points"], row["significant_from"]) == ("100", 0, "")
    assert row["from_start_points"] == pytest.approx(-70)


def test_controls_are_masks_minus_the_same_number_of_something_else():
    table = masks.controls(masks.series(frame(falling))).set_index("amount")
    assert table["control"].tolist() == ["dot", "dot"]
    assert table["accuracy_points"].tolist() == pytest.approx([-30, -60])
    assert table["p_right_points"].tolist() == pytest.approx([-18, -36])
    assert table.loc["100", "accuracy_points_p"] == pytest.approx(
        stats.mean(np.array([0.7, 0.5, 0.7, 0.5])).p
    )
    assert (table["accuracy_points_holm"] >= table["accuracy_points_p"]).all()


def test_tasks_and_overview():
    found = masks.tables(frame(falling))
    assert set(masks.PRINTED) - set(found) == {"steps", "lengths", "gain", "degradation"}
    tasks = found["tasks"].query("filler == 'mask'")
    assert tasks["task"].tolist() == list("abcd")
    assert tasks["points"].tolist() == pytest.approx([70, 50, 70, 50])
    assert tasks["n"].tolist() == [10] * 4
    look = found["overview"].set_index("amount")
    assert look["accuracy mask"].tolist() == pytest.approx([1, 0.7, 0.4])
    assert look["accuracy dot"].tolist() == [1, 1, 1]


def test_counts_that_pandas_reads_as_numbers_are_the_same():
    rows = frame(falling)
    as_numbers = rows.assign(amount=rows["amount"].astype(int))
    pd.testing.assert_frame_equal(
        masks.curve(masks.series(rows)), masks.curve(masks.series(as_numbers))
    )


def test_amounts_are_ordered_by_what_they_append():
    """5 % of these prompts is 25 tokens; 20 % is as many as 100, and both stay."""
    amounts = ("0", "max", "20%", "200", "5%", "100", "5")
    rows = masks.series(frame(lambda f, k, i: True, amounts=amounts))
    table = masks.curve(rows).query("filler == 'mask'")
    assert table["amount"].tolist() == ["0", "5", "5%", "100", "20%", "200", "max"]
    mixed = masks.series(
        frame(falling, amounts=("0", "100", "10")).replace({"amount": {"10": "5%"}})
    )
    assert set(masks.drop(mixed)["largest"]) == {"100"}


@pytest.mark.slow
def test_runs_without_a_start_or_without_tails():
    no_start = masks.tables(frame(falling, amounts=("10", "100")))
    assert no_start["drop"].set_index("filler").loc["mask", "points"] == pytest.approx(30)
    unmasked = pd.concat(
        [frame(falling, fillers=("dot",)), frame(falling, fillers=("dot",), distractors=0)]
    )
    assert set(pictures(unmasked)) == {"", "certainty", "context"}
    only_start = masks.tables(frame(falling, amounts=("0",)))
    assert only_start["curve"]["accuracy"].tolist() == [1]
    assert len(only_start["drop"]) == 0
    assert set(pictures(frame(falling, amounts=("0",)))) == {"", "certainty"}


def test_a_test_point_that_misses_an_amount_is_left_out_of_pairs():
    rows = frame(falling)
    cut = rows.drop(rows[(rows["item"] == 9) & (rows["amount"] == "100")].index)
    assert masks.drop(masks.series(cut))["n"].tolist() == [36, 36]


def pictures(rows):
    return pictured(charts, masks.tables(rows), rows)


@pytest.mark.slow
def test_the_chart_shows_the_tables_numbers():
    rows = frame(falling, models=("m", "n"))
    drawn = pictures(rows)
    assert set(drawn) == {"", "certainty"}
    main = drawn[""]
    assert main.titles() == ["m", "m", "n", "n"]
    assert main.columns == 2
    accuracy, right = main.panels[:2]
    assert main.legend == ["masks", "dots"]
    assert accuracy.line(filler="masks") == pytest.approx([100, 70, 40])
    table = masks.tables(rows)["curve"].query("model == 'm' and filler == 'mask'")
    for end in ("low", "high"):
        found = accuracy.line(end, filler="masks")
        assert found == pytest.approx(list(100 * table[f"tasks_{end}"]), rel=1e-5)
        found = right.line(end, filler="masks")
        expected = list(100 * table[f"p_right_{end}"])
        assert found == pytest.approx(expected, rel=1e-5, nan_ok=True)
    assert accuracy.colours()["masks"] != accuracy.colours()["dots"]
    assert "accuracy" in accuracy.axis_title("y")
    assert "probability" in right.axis_title("y")
    assert "n = 40 items, 4 relevant tasks, 10 relevant examples, 40 distractors" in main.caption


def test_a_second_model_is_inside_its_panels_too():
    """The first model's limits once froze the axis that both share."""
    low = frame(lambda f, k, i: i < 2, models=("n",))
    drawn = pictures(pd.concat([frame(lambda f, k, i: i < 9), low]))[""]
    above, below = drawn.panels[0], drawn.panels[2]
    assert above.domain("y") == below.domain("y")
    assert outside(drawn) == []
    assert max(below.line(filler="masks")) < min(above.line("low", filler="masks"))


def test_axes_of_percent_end_a_little_above_100():
    rows = pd.concat([frame(lambda f, k, i: True, distractors=n) for n in (0, 40)])
    drawn = pictures(rows)
    accuracies = [drawn[name].panels[0] for name in ("", "context")]
    for panel in (*accuracies, drawn["certainty"].panels[1]):
        assert panel.domain("y")[1] <= 103
    assert all(panel.rows[0]["y"] == 100 for panel in accuracies)


@pytest.mark.slow
def test_contexts_sides_and_steps_get_their_own_places():
    rows = pd.concat(
        [
            frame(falling),
            frame(falling, distractors=0),
            frame(falling, side="left").query("filler != 'none'"),
            frame(falling, fillers=("mask",), steps=4, order="random").query("filler != 'none'"),
        ]
    )
    drawn = pictures(rows)
    assert set(drawn) == {"", "certainty", "context"}
    assert set(drawn[""].titles()) == {"after", "before"}
    assert drawn[""].legend == ["masks", "dots", "one step", "4 steps, random"]
    appended = drawn["context"].panels[0]
    assert [row["x"] for row in appended.rows if row["appends"] == "10 masks, after, one step"] == [
        *(0, 40)
    ]
