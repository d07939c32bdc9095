"""Pairing of rows: against closed forms, brute force, and planted differences."""

import itertools

import numpy as np
import pandas as pd
import pytest
from pictured import PictureSpec, outside
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from mdlm_probe.analysis import chart_picture, chart_style, paired_differences, stats
from mdlm_probe.analysis import pairing as _pairing
from mdlm_probe.analysis.paired_differences import EVERY
from mdlm_probe.analysis.pairing import Measure, Pairing
from mdlm_probe.analysis.power import by_clusters, by_signs, shown
from mdlm_probe.reports.compare import forest

COORDINATES = ["suite", "set", "item", "position", "shots"]
PAIRING = Pairing(
    {
        "correct": Measure("accuracy (points)", hits=True, scale=100),
        "logp": Measure("log-probability (nats)"),
    },
    item=("set", "item"),
    by=("position",),
    cluster="set",
)
LOOSE = Pairing(PAIRING.measures, item=("set", "item"), by=("position",))


def frame(seed, *, sets=4, items=5, positions=(0, 5, 10), gain=0.0, shared=0.0):
    """Rows of a probe: `gain` nats on every item, `shared` nats of noise that a set has in common.

    The item's own difficulty is the same for every seed.
    """
    rng, own = np.random.default_rng(seed), np.random.default_rng(99)
    common, hard = rng.normal(size=sets), own.normal(size=(sets, items))
    rows = []
    for s, i, at in itertools.product(range(sets), range(items), positions):
        logp = hard[s, i] + gain + shared * common[s] + 0.3 * rng.normal()
        rows.append(
            {"model": "m", "suite": f"of-{seed}", "set": f"s{s}", "item": i, "position": at}
            | {"shots": 3, "correct": int(logp > 0), "logp": logp}
        )
    return pd.DataFrame(rows)


def paired(first, second, pairing=PAIRING):
    return _pairing.pair(first, second, pairing, COORDINATES[1:])


def lines(first, second, pairing=PAIRING, points="main"):
    return paired_differences.lines(paired(first, second, pairing), pairing, points)


def test_order_and_missing_rows_change_nothing_but_who_is_alone():
    """Against a dictionary of both sides' rows."""
    first, second = frame(1), frame(2, gain=0.5)
    first = first[~((first["set"] == "s0") & (first["item"] < 2))]
    second = second[~((second["set"] == "s3") & (second["item"] == 0))].sample(
        frac=1, random_state=3
    )
    found = paired(first, second)
    assert found.alone == (1, 2)
    assert found.sweep == ("position",)
    names = ["set", "item", "position"]
    ours, theirs = (
        {tuple(map(str, row[names])): row["logp"] for _, row in side.iterrows()}
        for side in (first, second)
    )
    rows = found.rows
    assert len(rows) == len(ours.keys() & theirs.keys())
    for _, row in rows.iterrows():
        key = tuple(row[names])
        assert (row["logp_a"], row["logp_b"]) == (ours[key], theirs[key])
    table = lines(first, second, points="none").set_index("measure")
    gaps = pd.Series({k: theirs[k] - ours[k] for k in ours.keys() & theirs.keys()})
    expected = gaps.groupby(level=[0, 1]).mean().mean()
    assert table.loc["log-probability (nats)", "difference"] == pytest.approx(expected)


def test_items_only_half_measured_are_compared_where_both_were():
    first, second = frame(1), frame(1, gain=1.0)
    second = second[second["position"] != 5]
    table = lines(first, second, points="all")
    assert set(table["position"]) == {EVERY, "0", "10"}
    nats = table[table["measure"] == "log-probability (nats)"]
    assert nats["difference"].tolist() == pytest.approx([1.0] * 3)


def test_a_point_is_mcnemars_test_over_items():
    first, second = (frame(s, items=40, gain=g, positions=(0,)) for s, g in ((1, 0.0), (2, 0.1)))
    line = lines(first, second, LOOSE).iloc[0]
    a, b = (side["correct"].to_numpy() for side in (first, second))
    gained, lost = ((b > a).sum(), (b < a).sum())
    assert (line["gained"], line["lost"]) == (gained, lost)
    assert lost > 0
    assert line["odds"] == pytest.approx(gained / lost)
    expected = scipy_stats.binomtest(int(gained), int(gained + lost)).pvalue
    assert line["p"] == pytest.approx(expected)
    assert line["least"] == pytest.approx(100 * by_signs(len(a), gained + lost))
    assert (line["a"], line["b"]) == pytest.approx((100 * a.mean(), 100 * b.mean()))
    assert line["n"] == len(a)
    assert "clusters" not in line


def test_numbers_are_students_paired_test_over_items():
    first, second = (frame(s, gain=g, positions=(0,)) for s, g in ((1, 0.0), (2, 0.1)))
    line = lines(first, second, LOOSE).set_index("measure").loc["log-probability (nats)"]
    a, b = (side["logp"].to_numpy() for side in (first, second))
    test = scipy_stats.ttest_rel(b, a)
    assert line["p"] == pytest.approx(test.pvalue)
    ends = test.confidence_interval(0.95)
    assert (line["difference_low"], line["difference_high"]) == pytest.approx(tuple(ends))
    gaps = b - a
    assert line["dz"] == pytest.approx(gaps.mean() / gaps.std(ddof=1))
    power = TTestPower().power(line["least"] / gaps.std(ddof=1), len(gaps), 0.05)
    assert power == pytest.approx(0.8, abs=1e-6)


def test_sets_are_the_units_where_there_are_several():
    """What a set's items have in common is no evidence; items alone would find it significant."""
    first, second = frame(1, sets=6, items=30), frame(7, sets=6, items=30, shared=1.0)
    both = [lines(first, second, p).set_index("measure") for p in (PAIRING, LOOSE)]
    by_set, by_item = (table[table["position"] == EVERY].iloc[1] for table in both)
    assert by_set["difference"] == by_item["difference"]
    assert by_item["p"] < 0.01 < 0.05 < by_set["p"]
    assert by_set["clusters"] == 6
    gaps = (second["logp"] - first["logp"]).groupby([first["set"], first["item"]]).mean()
    expected = stats.clustered(gaps.to_numpy(), gaps.index.get_level_values("set").to_numpy())
    assert by_set["p"] == pytest.approx(expected.p)
    assert by_set["difference_low"] == pytest.approx(expected.low)
    assert by_set["least"] == pytest.approx(
        stats.minimum_detectable_effect(gaps.groupby(level="set").mean())
    )


def test_one_set_is_no_cluster():
    first, second = frame(1, sets=1), frame(2, sets=1)
    line = lines(first, second).iloc[0]
    assert (line["clusters"], line["n"]) == (1, 5)
    assert not np.isnan(line["p"])


def test_points_of_the_sweep_are_asked_for():
    first, second = frame(1), frame(2)
    counts = {kind: len(lines(first, second, points=kind)) for kind in ("none", "main", "all")}
    assert counts == {"none": 2, "main": 2 + 3, "all": 2 + 2 * 3}
    assert list(lines(first, second)["position"]) == [EVERY, "0", "5", "10", EVERY]


def test_narrower_tables_hold_the_same_lines():
    table = lines(frame(1), frame(2), points="all")
    over, points = paired_differences.apart(table)
    assert list(over["measure"]) == list(points) == list(table["measure"].unique())
    assert "position" not in over
    assert [list(part["position"]) for part in points.values()] == [["0", "5", "10"]] * 2
    assert len(over) + sum(map(len, points.values())) == len(table)
    over, points = paired_differences.apart(lines(frame(1), frame(2), points="none"))
    assert (len(over), points) == (2, {})


@pytest.mark.slow
def test_planted_differences_are_found_and_none_are_not():
    """Of 12 comparisons each: where nothing was planted, few lines are under 5 %, fewer by Holm."""
    null, planted = [], []
    for seed in range(12):
        first = frame(seed, sets=8, items=8, positions=(0, 5))
        for gain, found in ((0.0, null), (0.6, planted)):
            other = frame(1000 + seed, sets=8, items=8, positions=(0, 5), gain=gain)
            found.append(lines(first, other))
    p_null, p_planted = (np.concatenate([t["p"] for t in ts]) for ts in (null, planted))
    assert (p_null < 0.05).mean() < 0.1
    assert (p_planted < 0.05).mean() > 0.9
    for over in (True, False):  # each family by itself
        found = []
        for table in null:
            own = paired_differences.corrected([table])[0]
            found.append((own["p_holm"][(own["position"] == EVERY) == over] < 0.05).any())
        assert np.mean(found) <= 0.15
    gaps = np.array([t["difference"].iloc[-1] for t in planted])
    assert gaps.mean() == pytest.approx(0.6, abs=0.03)


@pytest.mark.slow
def test_the_interval_holds_the_truth_as_often_as_it_says():
    inside = []
    for seed in range(40):
        sides = frame(seed, shared=0.3), frame(500 + seed, gain=0.2, shared=0.3)
        table = lines(*sides, points="none")
        line = table.iloc[-1]
        inside.append(line["difference_low"] <= 0.2 <= line["difference_high"])
    assert 0.88 <= np.mean(inside) <= 1.0


def test_holms_families_are_whole_sweeps_and_the_points_of_each_measure():
    first, second = frame(1), frame(2, gain=0.1)
    tables = [lines(first, second), lines(second, first, points="all")]
    tables.append(lines(first, second, points="none"))
    found = paired_differences.corrected(tables)
    over = [t["position"] == EVERY if "position" in t else pd.Series(True, t.index) for t in tables]
    p, p_holm = (
        np.concatenate([t[name][whole] for t, whole in zip(ts, over, strict=True)])
        for name, ts in (("p", tables), ("p_holm", found))
    )
    assert len(p) == 6
    assert p_holm == pytest.approx(multipletests(p, method="holm")[1])
    families = 0
    for table, mended, whole in zip(tables, found, over, strict=True):
        for _, part in table[~whole].groupby("measure"):
            expected = multipletests(part["p"], method="holm")[1]
            assert mended["p_holm"][part.index].to_numpy() == pytest.approx(expected)
            families += 1
    assert families == 3
    assert [len(family) for family in paired_differences.families(tables)] == [6, 3, 3, 3]
    assert "p_holm" not in tables[0]


@pytest.mark.parametrize(("items", "apart"), [(8, 4), (16, 5), (24, 8), (60, 6), (100, 30)])
def test_the_least_difference_of_hits_is_seen_in_four_of_five(items, apart):
    """By the very test that is run, of two that disagree as often as they were seen to."""
    rng, least = np.random.default_rng(items), by_signs(items, apart)
    share = max(apart / items, least)
    chances = [(share + least) / 2, (share - least) / 2, 1 - share]
    gaps = rng.choice([1, -1, 0], p=np.clip(chances, 0, 1), size=(3000, items))
    seen = np.mean([stats.paired_hits(row, np.zeros(items)).p < 0.05 for row in gaps])
    assert seen == pytest.approx(0.8, abs=0.025)


@pytest.mark.parametrize("items", [6, 7, 11])
def test_the_power_of_the_sign_test_is_a_sum_over_all_outcomes(items):
    better, worse = 0.5, 0.2
    expected = 0.0
    for gained in range(items + 1):
        for lost in range(items + 1 - gained):
            gaps = np.repeat([1, -1, 0], [gained, lost, items - gained - lost])
            counts = [gained, lost, items - gained - lost]
            chance = scipy_stats.multinomial.pmf(counts, items, [better, worse, 0.3])
            expected += chance * (stats.paired_hits(gaps, np.zeros(items)).p <= 0.05)
    assert shown(items, better + worse, better - worse) == pytest.approx(expected)
    assert expected > 0.01


def test_hits_of_five_items_can_show_nothing():
    assert np.isnan([by_signs(5, 5), by_signs(0, 0), by_signs(50, 0)]).all()
    assert 0 < by_signs(6, 6) < 1
    assert stats.paired_hits(np.ones(5), np.zeros(5)).p > 0.05
    assert stats.paired_hits(np.ones(6), np.zeros(6)).p < 0.05
    first = frame(1, items=5, sets=1, positions=(0,)).assign(correct=0)
    line = lines(first, first.assign(correct=1), LOOSE).iloc[0]
    assert np.isnan(line["least"])


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [[5] * 8, [1, 2, 3, 4, 5, 6, 7, 8], [20] + [2] * 9])
def test_the_least_difference_over_clusters_is_seen_in_four_of_five(sizes):
    rng, codes = np.random.default_rng(len(sizes)), np.repeat(np.arange(len(sizes)), sizes)

    def drawn(gain=0.0):
        return gain + 0.5 * rng.normal(size=len(sizes))[codes] + rng.normal(size=len(codes))

    squares = [by_clusters(drawn(), codes) ** 2 for _ in range(500)]
    least = np.sqrt(np.mean(squares))  # a spread that is known
    seen = np.mean([stats.clustered(drawn(least), codes).p < 0.05 for _ in range(2000)])
    assert seen == pytest.approx(0.8, abs=0.035)


def test_odds_count_items_and_not_their_rows():
    """Of two items at three points: one gains all three, the other gains one and loses two."""
    first = frame(1, sets=1, items=2).assign(correct=[0, 0, 0, 0, 1, 1])
    second = first.assign(correct=[1, 1, 1, 1, 0, 0])
    line = lines(first, second, LOOSE).iloc[0]
    assert (line["gained"], line["lost"], line["odds"]) == (1, 1, 1)


def test_points_and_measures_of_one_side_alone_are_named():
    first, second = frame(1), frame(2, positions=(0, 5, 20, 40))
    both = paired(first, second.assign(correct=np.nan))
    assert both.points == (["position 10"], ["position 20", "position 40"])
    assert both.measured == (["accuracy (points)"], [])
    assert both.alone == (0, 0)
    assert paired(first, first).points == ([], [])


def test_a_side_with_itself_differs_nowhere():
    same = frame(1)
    table = lines(same, same, points="all")
    assert (table["difference"] == 0).all()
    assert (table["p"] == 1).all()
    assert table[["dz", "least", "difference_low"]].isna().all(axis=None)


def test_swapped_sides_change_the_sign_and_nothing_else():
    first, second = frame(1), frame(2, gain=0.3)
    there, back = lines(first, second, points="all"), lines(second, first, points="all")
    for name in ("difference", "dz"):
        assert there[name].to_numpy() == pytest.approx(-back[name].to_numpy(), nan_ok=True)
    for name in ("p", "least"):
        assert there[name].to_numpy() == pytest.approx(back[name].to_numpy(), nan_ok=True)
    assert there["gained"].tolist() == back["lost"].tolist()


def test_one_item_gives_a_difference_and_no_test():
    first, second = (frame(s, sets=1, items=1, positions=(0,)) for s in (1, 2))
    line = lines(first, second).set_index("measure").loc["log-probability (nats)"]
    assert line["n"] == 1
    assert line[["p", "least", "dz"]].isna().all()


def test_coordinates_that_are_no_part_of_the_pairing_must_be_equal():
    first, second = frame(1), frame(2)
    assert not len(paired(first, second.assign(shots=5)).rows)
    free = Pairing(PAIRING.measures, PAIRING.item, PAIRING.by, free=("shots",))
    assert len(paired(first, second.assign(shots=5), free).rows) == len(first)


def test_measures_that_a_side_lacks_have_no_line():
    first, second = frame(1), frame(2).assign(correct=np.nan)
    assert set(lines(first, second)["measure"]) == {"log-probability (nats)"}


@pytest.mark.parametrize("value", [50, 50.0, np.int64(50), np.float64(50), "50"])
def test_equal_coordinates_are_equal_however_they_were_read(value):
    assert _pairing.text_of(value) == "50"


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (float("nan"), ""), (True, "1"), (0.005, "0.005"), ("5%", "5%")]
)
def test_coordinates_as_text(value, text):
    assert _pairing.text_of(value) == text


def test_without_a_pairing_every_cell_is_an_item():
    first, second = frame(1), frame(2, gain=0.5)
    pairing = _pairing.plain(first, COORDINATES)
    assert set(pairing.measures) == {"correct", "logp"}
    table = lines(first, second, pairing)
    assert list(table["n"]) == [len(first)] * 2
    gap = second["logp"].mean() - first["logp"].mean()
    assert table.set_index("measure").loc["logp", "difference"] == pytest.approx(gap)


def picture(table, left="base", right="tuned"):
    data = forest.forest({"": table}, "locality", left, right)
    style = chart_style.chart_style(data, ())
    return PictureSpec(chart_picture.picture(data, style, "2 appended"), data)


def test_the_picture_shows_every_line_and_fills_the_sure_ones():
    table = paired_differences.corrected([lines(frame(1, sets=8), frame(2, sets=8, gain=0.5))])[0]
    drawn = picture(table)
    assert "tuned minus base" in drawn.title
    assert "masks: 2 appended" in drawn.caption
    assert "95 % over clusters of items" in drawn.caption
    assert drawn.titles() == list(table["measure"].unique())
    for panel, (_, part) in zip(drawn.panels, table.groupby("measure", sort=False), strict=True):
        found = {row["y"]: row for row in panel.rows}
        assert len(found) == len(part)
        assert panel.domain("y") == list(found), "in the table's order"
        for row, line in zip(found.values(), part.to_dict("records"), strict=True):
            for field, column in (("x", ""), ("low", "_low"), ("high", "_high")):
                assert row[field] == pytest.approx(line[f"difference{column}"], rel=1e-5)
            assert row["sure"] == (line["p_holm"] < 0.05)
        assert next(iter(found)) == "all"
        assert found["all"]["kind"] == "the whole sweep"
        assert [row["x"] for row in panel.layer()] == [0]
    assert outside(drawn) == []
    assert (table["p_holm"] < 0.05).any()
    dots = drawn.panels[0].marks("point")[-1]
    assert not dots["mark"]["filled"], "its edge is drawn where it isn't filled"
    assert dots["encoding"]["fill"] == dots["encoding"]["color"]
    assert "yOffset" not in dots["encoding"], "each line has a place of its own"
    filled = dots["encoding"]["fillOpacity"]
    assert filled == {"condition": {"test": "datum['sure']", "value": 1}, "value": 0}


def test_a_long_name_has_its_room():
    table = lines(frame(1), frame(2, gain=0.5), points="all")
    table = table.assign(position=table["position"].replace("10", "a long name of one, " * 3))
    drawn = picture(paired_differences.corrected([table])[0])
    axis = drawn.panels[0].encoding("y")["axis"]
    assert axis["labelLimit"] == 0, "nothing is cut"
    assert drawn.panels[0].spec["width"] < 400


def test_a_picture_of_nothing_different_can_be_drawn():
    table = paired_differences.corrected([lines(frame(1), frame(1))])[0]
    low, high = picture(table, "A", "B").panels[0].domain("x")
    assert low < 0 < high


def test_coordinates_are_put_into_words_as_each_by_itself():
    for values in (
        [1, 2, 1],
        [0.1, np.nan, 2.0],
        ["a", None, "a"],
        [True, False],
        ["1", 1, 1.0, True, np.nan],
        [0.1 + 0.2, 0.3],
    ):
        column = pd.Series(values, index=range(5, 5 + len(values)))
        found = _pairing.texts_of(column)
        assert found.tolist() == [_pairing.text_of(value) for value in values]
        assert found.index.equals(column.index)
