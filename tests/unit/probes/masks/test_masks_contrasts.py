"""Contrasts of masks: planted effects are found, and their numbers are those of closed forms."""

import itertools

import numpy as np
import pandas as pd
import pytest

from mdlm_probe.analysis import stats
from mdlm_probe.probes.masks import contrasts, degradation
from mdlm_probe.probes.masks import report as masks

TASKS = "abcdefgh"
LENGTHS = {"0": 0, "1": 1, "2": 2, "20%": 60, "50": 50, "100": 100}


def run(settings, share, items=20):
    """Rows of 16 sets, of whose items `share(setting, number of the task)` are right.

    Args:
        settings: coordinates, others than those of masks in one step among 40 distractors.
        share: of a setting and a task's number, from 0.
        items: of a set.
    """
    found = []
    for own, (n, task), other in itertools.product(settings, enumerate(TASKS), "xy"):
        at = {"model": "m", "suite": "s", "shots": 10, "distractors": 40, "amount": "50"} | own
        none = at["amount"] == "0"
        at |= {"filler": "none" if none else "mask", "side": "none" if none else "right"}
        at = {"steps": 1, "order": "none"} | at | {"appended": LENGTHS[at["amount"]]}
        right = np.arange(items) < round(items * share(own, n))
        at |= {"task": task, "set": f"{task}-{other}", "item": range(items), "correct": right * 1}
        found.append(pd.DataFrame(at | {"logp_right": np.log(0.1 + 0.8 * right)}))
    more = {"entropy": 1.0, "top1_prob": 0.5, "mask_tokens": 1, "answer_step": 1}
    return pd.concat(found, ignore_index=True).assign(**more)


def expected(line, name, values):
    """Whether a line's columns are the t interval and test of values of tasks, in points."""
    found = stats.mean(100 * np.asarray(values))
    own = [line[column] for column in (name, f"{name}_low", f"{name}_high", f"{name}_p")]
    assert own == pytest.approx([found.mean, found.low, found.high, found.p], abs=1e-9)


def rounded(values, items=20):
    return np.round(items * np.asarray(values)) / items


def test_forty_steps_against_one_by_order():
    """Random steps recover .3 to .4, confident ones .05 or nothing."""
    several = [{"steps": 40, "order": order} for order in ("random", "low_confidence")]
    settings = [{"amount": "0"}, {}, *several, {"amount": "100"}, several[0] | {"amount": "100"}]
    gains = {"random": 0.3 + 0.05 * (np.arange(8) % 3), "low_confidence": 0.05 * (np.arange(8) % 2)}

    def share(own, n):
        return 0.4 + (gains[own["order"]][n] if "order" in own else 0)

    table = masks.tables(run(settings, share))["steps"].set_index(["order", "amount"])
    assert list(table.index) == [("random", "50"), ("random", "100"), ("low_confidence", "50")]
    for (order, _), line in table.iterrows():
        expected(line, "accuracy_points", rounded(0.4 + gains[order]) - 0.4)
        assert (line["steps"], line["n"], line["units"]) == (40, 320, 8)
    assert table.loc[("random", "50"), "accuracy_points_holm"] < 1e-4
    assert table.loc[("random", "50"), "accuracy_points_holm"] == pytest.approx(
        2 * table.loc[("random", "50"), "accuracy_points_p"]
    ), "of two amounts of an order"
    alone = table.loc[("low_confidence", "50")]
    assert alone["accuracy_points_holm"] == alone["accuracy_points_p"]


def test_swapped_orders_would_be_seen():
    settings = [{}, {"steps": 40, "order": "random"}, {"steps": 40, "order": "low_confidence"}]
    rows = run(settings, lambda own, n: {"random": 0.9}.get(own.get("order"), 0.4))
    table = masks.tables(rows)["steps"].set_index("order")["accuracy_points"]
    assert table.to_dict() == pytest.approx({"random": 50, "low_confidence": 0})


def test_masks_cost_more_among_more_distractors():
    """20 % costs 0 to .1 alone, .25 to .35 among 30 distractors."""
    settings = [
        {"amount": k, "distractors": count}
        for count in (0, 10, 30)
        for k in ("0", "2", "20%", "100")
    ]
    cost = {0: 0.1 * (np.arange(8) % 2), 10: np.full(8, 0.15), 30: 0.25 + 0.05 * (np.arange(8) % 3)}

    def share(own, n):
        return 0.8 - (cost[own["distractors"]][n] if own["amount"] in ("20%", "100") else 0)

    table = masks.tables(run(settings, share))["lengths"]
    assert (table["few"].unique(), table["many"].unique()) == (["2"], ["20%"])
    table = table.set_index("distractors")
    assert list(table.index) == ["0", "10", "30", "30 - 0"]
    lost = {count: 0.8 - rounded(0.8 - cost[count]) for count in cost}
    for count, values in ((0, lost[0]), (30, lost[30])):
        expected(table.loc[str(count)], "accuracy_points", values)
    expected(table.loc["30 - 0"], "accuracy_points", lost[30] - lost[0])
    assert table.loc["30 - 0", "accuracy_points_low"] > 0
    assert table["accuracy_points_holm"].tolist() == pytest.approx(
        list(stats.holm(list(table["accuracy_points_p"]))), nan_ok=True
    )


@pytest.mark.slow
def test_lengths_are_compared_at_what_all_of_them_were_asked():
    settings = [{"amount": k, "distractors": n} for n in (0, 40) for k in ("0", "2", "50")]
    rows = run([*settings, {"amount": "100", "distractors": 40}], lambda own, n: 0.5)
    table = masks.tables(rows)["lengths"]
    assert (set(table["few"]), set(table["many"])) == ({"0"}, {"50"})
    appended = [{"amount": k, "distractors": n} for n in (0, 40) for k in ("0", "1", "2", "20%")]
    papers = masks.tables(run(appended, lambda own, n: 0.5, items=2))["lengths"]
    assert (set(papers["few"]), set(papers["many"])) == ({"1"}, {"20%"})
    assert table["distractors"].tolist() == ["0", "40", "40 - 0"]
    assert table["accuracy_points"].tolist() == [0, 0, 0]


def test_what_shots_add_against_what_masks_take():
    """Tasks that shots help more lose more to masks: .2 to .5 gained, half of it and .1 lost."""
    gained = 0.2 + np.array([0, 0.06, 0.16, 0.28, 0.3, 0.12, 0.22, 0.04])
    settings = [{"amount": k, "shots": n} for n in (0, 10) for k in ("0", "50", "100")]

    def share(own, n):
        return 0.3 + (own["shots"] > 0) * (
            gained[n] - {"0": 0, "50": 0.1, "100": 0.1 + gained[n] / 2}[own["amount"]]
        )

    rows = run(settings, share, items=100)
    rows["item"] = (rows["item"] * 37) % 100  # halves of even and odd items have hits of both
    found = masks.tables(rows)
    table = found["gains"].set_index("task")
    gains = rounded(0.3 + gained, 100) - 0.3
    drops = rounded(0.3 + gained, 100) - rounded(0.3 + gained / 2 - 0.1, 100)
    assert list(table.index) == [*TASKS]
    assert table["gain_points"].tolist() == pytest.approx(list(100 * gains))
    assert table["drop_points"].tolist() == pytest.approx(list(100 * drops))
    (line,) = found["gain"].to_dict("records")
    assert (line["shots"], line["amount"], line["n"], line["tasks"]) == ("10 - 0", "100", 1600, 8)
    expected(line, "gain_points", gains)
    expected(line, "drop_points", drops)
    expected(line, "difference_points", gains - drops)
    assert 0.95 < line["correlation"] < 1
    assert line["correlation_low"] > 0.8
    assert line["correlation_p"] < 0.001


def test_noise_that_gain_and_drop_share_correlates_nothing():
    """Both begin from the same accuracy: over all items they would seem alike where nothing is."""
    rng, found, naive = np.random.default_rng(0), [], []
    for _ in range(60):
        parts = [
            pd.DataFrame({"task": np.repeat(list(TASKS), 20), "item": np.tile(range(20), 8)})
            for _ in range(3)
        ]
        parts = [part.assign(correct=rng.integers(0, 2, 160)) for part in parts]
        found.append(contrasts.correlation_of(parts).mean)
        means = [part.groupby("task")["correct"].mean() for part in parts]
        naive.append(np.corrcoef(means[0] - means[1], means[0] - means[2])[0, 1])
    assert abs(np.mean(found)) < 0.1
    assert np.mean(naive) > 0.35


def test_rows_that_lack_a_setting_have_no_table_of_it():
    rows = run([{"amount": "0"}, {}, {"amount": "100"}], lambda own, n: 0.5, items=4)
    for some in (rows, rows[rows["amount"] == "0"], rows[rows["amount"] != "0"]):
        assert not {"steps", "lengths", "gain", "gains"} & masks.tables(some).keys()


@pytest.mark.slow
def test_declared_units_are_of_columns_that_these_tables_have():
    several = {"steps": 40, "order": "random"}
    contexts = [{"shots": s, "distractors": d} for s in (0, 10) for d in (0, 40)]
    tails = [{"amount": "0"}, {}, several]
    found = masks.tables(run([c | t for c in contexts for t in tails], lambda own, n: 0.5, items=4))
    for name in ("steps", "lengths", "gain", "gains"):
        assert set(masks.UNITS[name]) <= set(found[name])


# ---------------------------------------------------------------------- degradation


def test_degradation_is_over_tasks_and_its_noise_is_shown():
    settings = [{"amount": k} for k in ("0", "50", "100")]
    cost = {"0": 0, "50": 0.2, "100": 0.4}
    rows = run(settings, lambda own, n: 0.9 - cost[own["amount"]] - 0.05 * (n % 3))
    (line,) = masks.drop(masks.series(rows)).to_dict("records")
    tasks = np.array([[0.9 - c - 0.05 * (n % 3) for c in cost.values()] for n in range(8)])
    found = stats.resampled(rounded(tasks), degradation.relative, (0, 1))
    ends = (line["degradation"], line["degradation_low"], line["degradation_high"])
    assert ends == pytest.approx((found.mean, found.low, found.high))
    assert 0 < line["degradation_null"] < 0.1 < line["degradation_low"]


@pytest.mark.parametrize("tasks", [8, 12])
def test_the_null_of_degradation_is_what_noise_makes_of_it(tasks):
    """Tasks that vary by number of masks, but not on average: the truth is 0, and is never seen."""
    rng = np.random.default_rng(0)
    rows = 0.7 + 0.1 * rng.normal(size=(300, tasks, 1)) + 0.05 * rng.normal(size=(300, tasks, 6))
    seen = np.mean([degradation.relative(one.mean(axis=0)) for one in rows])
    shown = np.mean([degradation.null(one) for one in rows])
    assert seen > 0.04
    assert shown == pytest.approx(seen, rel=0.08)


def test_the_null_of_degradation_by_hand():
    """Two tasks, .1 apart at the second amount: two of four pairs of signs are alike: 0."""
    rows = np.array([[0.5, 0.6], [0.5, 0.5]])
    middle, rest = rows.mean(), 0.05 * 2**0.5
    higher, lower = middle + rest, middle - rest
    expected = (0 + 0 + (higher - middle) / higher + (middle - lower) / middle) / 4
    assert degradation.null(rows) == pytest.approx(expected)
    assert np.isnan(degradation.null(rows[:1]))
