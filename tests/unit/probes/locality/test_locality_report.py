"""The locality report: tables from rows alone, and a picture that shows them."""

import itertools

import numpy as np
import pandas as pd
import pytest
from pictured import pictured

from mdlm_probe.analysis import stats
from mdlm_probe.probes.locality import contrasts
from mdlm_probe.probes.locality import report as locality


def frame(models=("m",), questions=("right",), masks=(0,), hit=lambda q, p, i: True, items=10):
    rows = []
    for model, question, k, position, name, item in itertools.product(
        models, questions, masks, (0, 20, 40), ("a-x", "b-x"), range(items)
    ):
        rows.append(
            {
                "model": model,
                "set": name,
                "question": question,
                "question_masks": k,
                "position": position,
            }
            | {"item": item, "shots": 10, "distractors": 40, "options": 3}
            | {"correct": int(hit(question, position, item)), "logp_right": np.log(0.5)}
        )
    return pd.DataFrame(rows)


def test_accuracy_and_its_intervals():
    table = locality.accuracy(frame(hit=lambda q, p, i: i < p // 10 + 1)).set_index("position")
    assert table["accuracy"].tolist() == [0.1, 0.3, 0.5]
    assert table["n"].tolist() == [20, 20, 20]
    assert table["tasks"].tolist() == [2, 2, 2]
    expected = stats.proportion(np.array([1] * 6 + [0] * 14))
    assert table.loc[20, "items_low"] == pytest.approx(expected.low)
    assert table["p_right"].tolist() == pytest.approx([0.5] * 3)
    sets = stats.share_over(np.array([1] * 3 + [0] * 7 + [1] * 3 + [0] * 7), np.repeat([0, 1], 10))
    assert table.loc[20, ["tasks_low", "tasks_high"]].tolist() == pytest.approx(
        [sets.low, sets.high]
    )


@pytest.mark.parametrize(
    ("question", "expected"),
    [("right", [40, 20, 0]), ("left", [0, 20, 40]), ("middle", [15, 0, 15])],
)
def test_distance_counts_examples_between_block_and_question(question, expected):
    rows = pd.DataFrame(
        {"position": [0, 20, 40], "shots": 10, "distractors": 40, "question": question}
    )
    assert contrasts.distance(rows).tolist() == expected


def test_index_is_nearest_minus_farthest_over_the_same_items():
    table = locality.index(
        frame(questions=("left", "right"), hit=lambda q, p, i: p == 40 or i < 4)
    ).set_index("question")
    assert table.loc["right", "index"] == pytest.approx(0.6)
    assert table.loc["left", "index"] == pytest.approx(-0.6)
    assert table.loc["right", "items_p"] == pytest.approx(2 * 0.5**12)
    assert table["items_holm"].tolist() == pytest.approx([2 * 2 * 0.5**12] * 2), "of two places"
    assert table.loc["right", ["nearest_distance", "farthest_distance"]].tolist() == [0, 40]
    none = locality.index(frame(hit=lambda q, p, i: i < 4))
    assert none["index"].tolist() == [0]
    assert none["items_p"].tolist() == [1]


def test_index_of_both_ends_averages_them():
    """Middle question: the farthest positions are two, and an item is right at one of them."""
    table = locality.index(frame(questions=("middle",), hit=lambda q, p, i: p != 0))
    assert table["index"].tolist() == pytest.approx([0.5])


def test_one_position_has_no_index():
    assert len(locality.index(frame().query("position == 0"))) == 0


def pictures(rows):
    return pictured(locality, locality.tables(rows), rows)


def test_the_chart_shows_the_tables_numbers():
    rows = frame(
        models=("m", "n"), questions=("left", "right"), hit=lambda q, p, i: i < p // 10 + 1
    )
    drawn = pictures(rows)[""]
    table = locality.accuracy(rows)
    assert drawn.titles() == ["question left", "question right"]
    for panel, place in zip(drawn.panels, ("left", "right"), strict=True):
        assert panel.domain("y") == drawn.panels[0].domain("y")
        assert panel.line(model="m") == pytest.approx([10, 30, 50])
        own = table[(table["model"] == "m") & (table["question"] == place)]
        for end in ("low", "high"):
            assert panel.line(end, model="m") == pytest.approx(
                list(100 * own[f"tasks_{end}"]), rel=1e-5
            )
        colours = panel.colours()
        assert colours["m"] != colours["n"]
        assert panel.line("beside_0", model="m") == pytest.approx([100 / 3] * 3, rel=1e-5)
    assert drawn.legend == ["m", "n", "chance (%)"]
    assert "accuracy" in drawn.panels[0].axis_title("y")
    assert "n = 20 items, 2 relevant tasks" in drawn.caption
    assert "95 % over relevant tasks" in drawn.caption


def test_masks_get_their_own_lines():
    drawn = pictures(frame(masks=(2, 50)))[""]
    assert drawn.legend == ["m", "masks 2", "masks 50", "chance (%)"]
    (panel,) = drawn.panels
    dashes = panel.encoding("strokeDash")["scale"]
    assert dashes["domain"] == ["2", "50"]
    assert dashes["range"][0] != dashes["range"][1]
    assert panel.values("question_masks") == ["2", "50"]


def test_locality_under_masks_has_a_chart_of_its_own():
    assert set(pictures(frame())) == {"", "p_right"}
    rows = frame(masks=(0, 50), questions=("left", "right"), hit=lambda q, p, i: i < p // 10 + 1)
    drawn = pictures(rows)["masks"]
    assert drawn.titles() == ["question left"] * 2 + ["question right"] * 2
    assert all(panel.domain("y")[1] <= 103 for panel in drawn.panels)
    accuracy, right = drawn.panels[:2]
    assert drawn.legend == ["one mask, closed", "50 masks"]
    assert accuracy.line(question_masks="one mask, closed") == pytest.approx([10, 30, 50])
    assert right.line(question_masks="one mask, closed") == pytest.approx([50] * 3)


def test_one_set_has_intervals_over_its_items():
    rows = frame(hit=lambda q, p, i: i < p // 10 + 1)
    drawn = pictures(rows[rows["set"] == "a-x"])[""]
    assert "95 % over items" in drawn.caption
    assert not np.isnan(drawn.panels[0].line("low")).any()
