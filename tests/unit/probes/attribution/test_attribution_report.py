"""The attribution report: tables from rows alone, and pictures that show them."""

import itertools

import numpy as np
import pandas as pd
import pytest
from pictured import pictured

from mdlm_probe.analysis import stats
from mdlm_probe.probes.attribution import charts
from mdlm_probe.probes.attribution import report as attribution

SETS = ("a-x", "b-x", "c-x")


def noise(name, item=0.5):
    """A little spread over sets and items, nothing on average."""
    return {"a-x": -0.01, "b-x": 0, "c-x": 0.01}[name] + (item - 0.5) / 100


def frame(
    value=lambda place, name, item: 0.5 + noise(name, item),
    *,
    models=("m",),
    questions=("right",),
    masks=(0,),
    method="grad-norm",
    places=10,
    orders=2,
    group=lambda label, name: 0.25 + noise(name),
):
    """Rows as the probe writes them; in order 0 even places are relevant, in order 1 odd ones."""
    rows = []
    for model, question, k, name, item, order in itertools.product(
        models, questions, masks, SETS, range(2), range(orders)
    ):
        cell = {"model": model, "question": question, "appended_masks": k, "method": method}
        cell |= {"set": name, "item": item, "example_order": order}
        for place in range(places):
            label = "relevant" if (place + order) % 2 == 0 else "distractor"
            found = value(place, name, item) + (0.2 if label == "relevant" else 0)
            row = {"unit": "example", "examples_before": place, "label": label}
            rows.append(cell | row | {"score": 10 * found, "normalised": found})
        rows.append(cell | {"unit": "example", "examples_before": places, "label": "question"})
        rows[-1] |= {"score": 99.0, "normalised": 9.9}
        labels = ("answer", "masks", "last-50", "all") if k else ("answer", "last-50", "all")
        for label in labels:
            row = {"unit": "group", "examples_before": np.nan, "label": label, "score": 1.0}
            row["by_others"] = np.nan if label == "answer" else 2 * group(label, name)
            rows.append(cell | row | {"normalised": group(label, name)})
        rows.append(cell | {"unit": "token", "examples_before": 0, "label": "cat", "score": -1.0})
        rows[-1] |= {"normalised": 1.0}
    return pd.DataFrame(rows).assign(gap=np.nan, logit=5.0)


def by_kind(rows):
    """The rows by kind of observation."""
    units = {"examples": "example", "groups": "group", "tokens": "token"}
    found = {kind: rows[rows["unit"] == unit].copy() for kind, unit in units.items()}
    return found | {"groups": found["groups"].rename(columns={"label": "group"})}


def test_positions_are_means_of_test_points():
    """Orders are averaged within a test point; any example is in both, relevant in half of them."""
    value = {"a-x": 0.3, "b-x": 0.32, "c-x": 0.4}
    rows = frame(lambda place, name, item: value[name] + 0.02 * item + 0.01 * place)
    table = attribution.positions(by_kind(rows)["examples"]).set_index(["label", "examples_before"])
    assert len(table) == 3 * 10
    for place in range(10):
        middle = 0.34 + 0.01 + 0.01 * place
        assert table.loc[("relevant", place), "normalised"] == pytest.approx(middle + 0.2)
        assert table.loc[("distractor", place), "normalised"] == pytest.approx(middle)
        assert table.loc[("any", place), "normalised"] == pytest.approx(middle + 0.1)
        assert table.loc[("any", place), "score"] == pytest.approx(10 * (middle + 0.1))
    units = [v + 0.02 * item + 0.1 for v in value.values() for item in range(2)]
    items, sets = stats.mean(np.array(units)), stats.mean(np.array([*value.values()]) + 0.11)
    first = table.loc[("any", 0)]
    assert (first["n"], first["tasks"]) == (6, 3)
    assert (first["items_low"], first["items_high"]) == pytest.approx((items.low, items.high))
    assert (first["tasks_low"], first["tasks_high"]) == pytest.approx((sets.low, sets.high))


def test_shape_compares_fifths():
    """Places 0-1 are the first fifth of ten, 4-5 the middle one, 8-9 the last."""
    level = [0.9, 0.7, 0, 0, 0.1, 0.3, 0, 0, 0.5, 0.7]
    grown = {"a-x": 1.0, "b-x": 1.05, "c-x": 1.1}
    rows = frame(lambda place, name, item: level[place] * grown[name])
    table = attribution.shape(by_kind(rows)["examples"]).set_index("part")
    expected = {"first fifth": 0.8, "middle fifth": 0.2, "last fifth": 0.6}
    for part, mean in expected.items():
        assert table.loc[part, "value"] == pytest.approx(mean * 1.05 + 0.1)
    assert np.isnan(table.loc["first fifth", "tasks_p"])
    for part, gap in (("primacy", 0.6), ("recency", 0.4)):
        sets = stats.mean(gap * np.array([*grown.values()]))
        found = table.loc[part, ["value", "tasks_low", "tasks_high", "tasks_p"]].tolist()
        assert found == pytest.approx([sets.mean, sets.low, sets.high, sets.p])


def test_too_few_places_have_no_shape():
    assert len(attribution.shape(by_kind(frame(places=4))["examples"])) == 0
    assert len(attribution.shape(by_kind(frame(places=5))["examples"])) == 5


def test_groups_and_the_papers_values():
    level = {"answer": 1.0, "masks": 0.3, "last-50": 0.2, "all": 0.1}
    less = {"a-x": 0.0, "b-x": 0.01, "c-x": 0.05}
    rows = frame(
        models=("llada-8b", "mine"),
        masks=(0, 50),
        group=lambda label, name: level[label] - less[name],
    )
    table = attribution.groups(by_kind(rows)["groups"]).set_index(
        ["model", "appended_masks", "group"]
    )
    assert len(table) == 2 * (3 + 4)
    sets = stats.mean(0.3 - np.array([*less.values()]))
    row = table.loc[("llada-8b", 50, "masks")]
    assert row["normalised"] == pytest.approx(0.28)
    assert (row["tasks_low"], row["tasks_high"]) == pytest.approx((sets.low, sets.high))
    assert row["by_others"] == pytest.approx(2 * 0.28)
    ends = 2 * sets.low, 2 * sets.high
    assert (row["by_others_low"], row["by_others_high"]) == pytest.approx(ends)
    assert table.xs("answer", level="group")["by_others"].isna().all()
    paper = table["paper"].dropna()
    assert paper.to_dict() == {
        ("llada-8b", 50, "masks"): 0.234,
        ("llada-8b", 50, "last-50"): 0.005,
        ("llada-8b", 50, "all"): 0.005,
    }


def test_the_published_values_stand_beside_the_papers_shares():
    rows = frame(models=("llada-8b",), masks=(0, 50))
    found = list(charts.ours(attribution.tables(by_kind(rows))))
    assert [(one.model, one.what) for one in found] == [
        ("llada-8b", one.what) for one in charts.PUBLISHED if one.model == "llada-8b"
    ]
    assert [one.value for one in found] == pytest.approx([0.5] * 3)
    assert all(one.low < 0.5 < one.high for one in found)


def test_rows_measured_without_the_papers_shares_have_the_other_ones():
    rows = frame(models=("llada-8b",), masks=(50,))
    found = attribution.tables(by_kind(rows.drop(columns="by_others")))
    assert found["groups"]["by_others"].isna().all()
    pd.testing.assert_series_equal(
        found["groups"]["normalised"], attribution.tables(by_kind(rows))["groups"]["normalised"]
    )
    assert not list(charts.ours(found))
    assert (
        attribution.grouped(by_kind(rows.drop(columns="by_others"))["groups"])["by_others"]
        .isna()
        .all()
    )


@pytest.mark.parametrize("changed", [{"method": "input-x-gradient"}, {"questions": ("left",)}])
def test_the_papers_values_are_of_one_setting(changed):
    rows = frame(models=("llada-8b",), masks=(50,), **changed)
    assert attribution.groups(by_kind(rows)["groups"])["paper"].isna().all()


def test_tables_print_without_every_position():
    assert set(attribution.tables(by_kind(frame()))) == {"positions", "shape", "groups"}
    assert set(attribution.PRINTED) == {"shape", "groups", "gaps"}


def test_gaps_of_integrated_gradients():
    rows = frame(method="integrated-gradients")
    rows["gap"] = np.where(rows["set"] == "a-x", -0.6, 0.3)
    rows["logit"] = np.where(rows["set"] == "a-x", -2.0, 8.0)
    table = attribution.tables(by_kind(rows))["gaps"].iloc[0]
    assert table["n"] == 3 * 2 * 2
    found = table[["mean |gap|", "largest |gap|", "mean |logit|"]].tolist()
    assert found == pytest.approx([0.4, 0.6, 6.0])


def test_intervals_stay_where_scores_can_be():
    level = {"a-x": 0.0, "b-x": 0.1, "c-x": 0.8}
    rows = frame(lambda place, name, item: level[name] * (place > 4))
    table = attribution.positions(by_kind(rows)["examples"])
    assert table["tasks_low"].min() == 0
    assert table["tasks_high"].max() == 1
    parts = attribution.shape(by_kind(rows)["examples"]).set_index("part")
    assert parts.loc["recency", "tasks_low"] < 0


def test_rows_of_another_probe_are_refused():
    with pytest.raises(KeyError):
        attribution.tables(by_kind(frame().drop(columns="score")))


def test_a_prompt_without_gradients_is_left_out():
    rows = frame()
    dead = (rows["set"] == "a-x") & (rows["item"] == 0)
    rows.loc[dead, "normalised"] = np.nan
    assert attribution.positions(by_kind(rows)["examples"])["n"].tolist() == [5] * 30


def pictures(rows):
    return pictured(charts, attribution.tables(by_kind(rows)), by_kind(rows))


@pytest.mark.slow
def test_the_chart_shows_the_tables_numbers():
    rows = frame(
        lambda place, name, item: place / 20 + noise(name, item),
        models=("m", "n"),
        questions=("left", "right"),
        masks=(0, 50),
    )
    drawn = pictures(rows)[""]
    assert drawn.titles() == [
        f"masks appended: {k}, question {place}, {what}"
        for k in (0, 50)
        for place in ("left", "right")
        for what in ("any example", "relevant ones", "distractors")
    ]
    assert drawn.columns == 3
    table = attribution.positions(by_kind(rows)["examples"]).query(
        "model == 'm' and question == 'left' and appended_masks == 0"
    )
    for panel in drawn.panels:
        if "any example" in panel.title:
            assert panel.line(model="m") == pytest.approx([n / 20 + 0.1 for n in range(10)])
        assert panel.line("x", model="m") == list(range(10))
        assert panel.colours()["m"] != panel.colours()["n"]
        (question,) = panel.layer()
        assert question["x"] == (-0.5 if "left" in panel.title else 9.5)
        assert "y" not in question
    assert "position" in drawn.panels[-1].axis_title("x")
    for panel, label in zip(drawn.panels[:3], ("any", "relevant", "distractor"), strict=True):
        own = table[table["label"] == label].sort_values("examples_before")
        for end in ("low", "high"):
            expected = pytest.approx(list(own[f"tasks_{end}"]), rel=1e-5)
            assert panel.line(end, model="m") == expected
    assert drawn.legend == ["m", "n", "question"]


@pytest.mark.slow
def test_many_models_have_one_line_each():
    drawn = pictures(frame(models=tuple("abcd")))[""]
    for panel in drawn.panels:
        assert panel.values("model") == list("abcd")
        assert len(panel.rows) == 4 * 10


@pytest.mark.slow
def test_intervals_stand_beside_the_papers_points():
    rows = frame(models=("llada-8b", "mine"), masks=(0, 50))
    plain, masked = pictures(rows)["groups"].panels
    assert len(plain.rows) == 2 * 2
    assert len(masked.rows) == 2 * 3
    assert [row["x"] for row in masked.rows] == pytest.approx([0.5] * 6), "the paper's shares"
    assert all(row["low"] < 0.5 < row["high"] for row in masked.rows)
    own = [row["beside_0"] for row in masked.rows if "beside_0" in row]
    assert own == [0.234, 0.005, 0.005]
    others = [row["x"] for row in masked.layer() if row["y"] == "appended masks"]
    assert sorted(others) == [0.144, 0.188, 0.220, 0.234, 0.237, 0.282]
    assert len(masked.layer()) == 3 * 6
    assert not plain.layer()
    assert not any("beside_0" in row for row in plain.rows)
