"""The joint report: tables from hand-made rows, and pictures that show them."""

import itertools

import numpy as np
import pandas as pd
import pytest
from pictured import pictured

from mdlm_probe.analysis import stats
from mdlm_probe.core.columns import empty
from mdlm_probe.probes.joint import charts
from mdlm_probe.probes.joint import report as joint
from mdlm_probe.probes.joint.columns import OBSERVATIONS

COLUMNS = {kind.name: kind.columns for kind in OBSERVATIONS}
TEXTS = 6
ORDERS = ("left_to_right", "right_to_left", "low_confidence", "random-1", "random-2")


def row(measure, prompt, task, model, **found):
    usual = {"model": model, "measure": measure, "task": task, "prompt": prompt}
    usual |= {"reveal_order": "none", "at_once": 0, "budget_eps": 0.1}
    return usual | empty(COLUMNS[measure]) | found


def all_rows(measure, tasks, models, make):
    return [
        row(measure, f"{task}-{n}", task, model, **found)
        for model, task, n in itertools.product(models, tasks, range(TEXTS))
        for found in make(model, task, n)
    ]


def pairs(tasks=("a", "b"), models=("m",)):
    """MI 1 / distance, plus the text's number; circulation of either sign."""

    def make(model, task, n):
        for at, distance in itertools.product((0, 3), (1, 2)):
            found = {
                "masks_before": at,
                "pair_distance": distance,
                "circulation": (-1) ** at * distance * (n + 1),
            }
            for name in ("mi", "tv_joint", "unlikely", "unlikely_sequential"):
                found |= {name: (1 + n / 10) / distance, f"{name}_bound": 0.5}
            yield found

    return pd.DataFrame(all_rows("pairs", tasks, models, make))


def orders(gains, tasks=("a",), models=("m",)):
    """Log-likelihoods of -20 - n for 10 tokens, and more by the order."""

    def make(model, task, n):
        for name in ORDERS:
            logp = -20.0 - n + gains.get(name, 0.0) * (1 + n / 10)
            yield {"reveal_order": name, "text_tokens": 10, "logp": logp}

    return pd.DataFrame(all_rows("orders", tasks, models, make))


def budget(drops, tasks=("a",), models=("m",)):
    """`drops(n, text)`: nats lost of 10 tokens by steps of n."""

    def make(model, task, n):
        for at_once in (1, 2, 4, 8):
            logp = -15.0 - n - drops(at_once, n)
            found = {"text_tokens": 10, "logp": logp, "logp_steps": logp + at_once - 1, "steps": 1}
            yield {"at_once": at_once, **found, "written": "x"}

    return pd.DataFrame(all_rows("budget", tasks, models, make))


def sets(shares, models=("m",)):
    rows = []
    for model, (name, parallel, sequential) in itertools.product(models, shares):
        found = {"set_pairs": 5, "incoherent_parallel": parallel, "mass_parallel": 0.5}
        found |= {"incoherent_sequential": sequential, "mass_sequential": 0.25}
        found = found if parallel is not None else {"set_pairs": 1}
        rows.append(row("sets", name, "sets", model, **found))
    return pd.DataFrame(rows)


def totals(tasks=("a",), models=("m",)):
    """Two draws of each text: .1 nats a token for each further mask, more of later texts."""

    def make(model, task, n):
        for seed, together in itertools.product((0, 1), (1, 2, 4)):
            lost = 0.1 * together * (together - 1) * (1 + n / 10) + (together > 1) * seed / 100
            found = {"entropy_parallel": 9.0, "entropy_sequential": 9.0 - lost}
            found |= {"logp_parallel": -9.0 - lost, "logp_sequential": -9.0}
            yield {"reveal_order": "random", "seed": seed, "together": together, **found}

    return pd.DataFrame(all_rows("total", tasks, models, make))


SHARES = (("one", 0.8, 0.1), ("two", 0.6, 0.0), ("three", 0.9, 0.05), ("unknown", None, None))


def rows_of(**found):
    """The rows by kind; of kinds that weren't measured there are none."""
    heads = {kind: pd.DataFrame(columns=[*row(kind, "", "", "")]) for kind in COLUMNS}
    return heads | found


def everything(models=("m",)):
    return {
        "pairs": pairs(models=models),
        "sets": sets(SHARES, models),
        "orders": orders({"low_confidence": 1.0}, models=models),
        "budget": budget(lambda n, text: n / 4 + text / 9, models=models),
        "total": totals(models=models),
    }


# ---------------------------------------------------------------------- pairs


def test_pairs_are_means_over_texts_by_distance():
    table = joint.pairs(pairs()).set_index(["task", "pair_distance"])
    assert list(dict.fromkeys(table.index.get_level_values(0))) == ["a", "b", "all"]
    expected = stats.amount(1 + np.arange(TEXTS) / 10)
    line = table.loc[("a", 1)]
    assert (line["mi"], line["mi_low"], line["mi_high"]) == pytest.approx(
        (expected.mean, expected.low, expected.high)
    )
    assert line["n"] == TEXTS
    assert table.loc[("all", 2), "n"] == 2 * TEXTS
    assert table.loc[("all", 2), "tv_joint"] == pytest.approx(expected.mean / 2)
    assert table.loc[("a", 2), "unlikely_bound"] == 0.5


def test_intervals_end_where_there_is_nothing():
    """Of two texts that differ, the t interval is wider than all there can be."""
    frame = pairs(tasks=("a",))
    frame = frame[frame["prompt"].isin(["a-0", "a-1"])].copy()
    names = ("tv_joint", "unlikely", "unlikely_sequential")
    frame["mi"] = np.where(frame["prompt"] == "a-0", 0.2, 0.9)
    for name in names:
        frame[name], frame[f"{name}_bound"] = frame["mi"], 0.8
    line = joint.pairs(frame).iloc[0]
    wide = stats.mean(np.array([0.2, 0.9]))
    assert wide.low < 0
    assert wide.high > 1
    for name in names:
        assert (line[f"{name}_low"], line[f"{name}_high"]) == (0, 1)
    assert (line["mi_low"], line["mi_high"]) == pytest.approx((0, wide.high))
    drawn = pictures(rows_of(pairs=frame))["pairs"]
    for panel, most in zip(drawn.panels, (1.05, 1, 1), strict=False):
        assert [row["y"] for row in panel.layer(0)] == pytest.approx([most] * 2)


def test_circulation_has_a_size_and_signed_quantiles():
    table = joint.circulation(pairs()).set_index("pair_distance")
    assert list(table.index) == ["1", "2", "all"]
    assert table.loc["1", "size"] == pytest.approx(np.mean(np.arange(TEXTS) + 1))
    assert table.loc["2", "size"] == pytest.approx(2 * table.loc["1", "size"])
    assert table.loc["1", "q05"] < 0 < table.loc["1", "q95"]
    assert table.loc["1", "q50"] == pytest.approx(0, abs=1e-9)
    assert table["mask_pairs"][["all", "1"]].tolist() == [4 * 2 * TEXTS, 2 * 2 * TEXTS]


# ---------------------------------------------------------------------- sets


def test_sets_stand_alone_and_together():
    table = joint.sets(sets(SHARES)).set_index("set")
    assert table.loc["one", "incoherent_parallel"] == 0.8
    assert table.loc["unknown", "set_pairs"] == 1
    assert np.isnan(table.loc["unknown", "incoherent_parallel"])
    total = table.loc["all"]
    expected = stats.mean(np.array([0.8, 0.6, 0.9]))
    assert (total["n"], total["set_pairs"]) == (3, 15)
    assert total["incoherent_parallel_low"] == pytest.approx(expected.low)
    assert total["lost"] == pytest.approx(np.mean([0.7, 0.6, 0.85]))
    assert total["lost_p"] < 0.05


def test_sets_of_nearly_no_mass_are_left_out_and_counted():
    """Of a thousandth of the probability, the share that is mixed is anything."""
    frame = sets((*SHARES, ("rare", 0.0, 1.0), ("seldom", 0.0, 1.0)))
    frame.loc[frame["prompt"] == "rare", "mass_parallel"] = 0.001
    frame.loc[frame["prompt"] == "seldom", "mass_sequential"] = 0.0099
    table = joint.sets(frame).set_index("set")
    assert table["left_out"].to_dict() == {
        **dict.fromkeys(("one", "two", "three"), 0),
        **dict.fromkeys(("unknown", "rare", "seldom"), 1),
        "all": 3,
    }
    assert np.isnan(table.loc["rare", "incoherent_parallel"])
    assert table.loc["rare", "mass_parallel"] == 0.001
    without = joint.sets(sets(SHARES)).set_index("set").loc["all"].drop("left_out")
    pd.testing.assert_series_equal(table.loc["all"].drop("left_out"), without)
    assert set(joint.mixed(frame)["prompt"]) == {"one", "two", "three"}
    said = joint.notes(rows_of(sets=frame))
    assert [note[:6] for note in said] == ["1 of 6", "2 of 6"]
    assert "less than 1% of the probability" in said[1]
    assert joint.notes(rows_of(sets=sets(SHARES[:3]))) == []
    assert "all" not in joint.sets(frame[frame["prompt"] == "rare"])["set"].tolist()


def test_intervals_of_shares_end_where_shares_do():
    shares = (("one", 0.9, 0.1), ("two", 0.3, 0.8))
    total = joint.sets(sets(shares)).set_index("set").loc["all"]
    for name in ("incoherent_parallel", "incoherent_sequential"):
        assert (total[f"{name}_low"], total[f"{name}_high"]) == (0, 1)
    assert (total["lost_low"], total["lost_high"]) == (-1, 1)


# ---------------------------------------------------------------------- orders


def test_no_log_likelihood_is_above_0():
    frame = orders({})
    frame = frame[frame["prompt"].isin(["a-0", "a-1"])].copy()
    frame.loc[frame["prompt"] == "a-1", "logp"] = -1.0
    table = joint.orders(frame)
    assert (table["logp_per_token_high"] == 0).all()
    assert (table["logp_per_token_low"] < -2).all()


def test_orders_are_compared_with_left_to_right_over_the_same_texts():
    gains = {"right_to_left": -2.0, "random-1": 1.0, "random-2": 2.0}
    table = joint.orders(orders(gains)).set_index("reveal_order")
    assert list(table.index) == ["left_to_right", "right_to_left", "low_confidence", "random"]
    scale = 1 + np.arange(TEXTS) / 10
    assert table.loc["left_to_right", "logp_per_token"] == pytest.approx(-(20 + 2.5) / 10)
    expected = stats.mean(-0.2 * scale)
    assert table.loc["right_to_left", "gain"] == pytest.approx(expected.mean)
    assert table.loc["right_to_left", "gain_low"] == pytest.approx(expected.low)
    assert table.loc["random", "gain"] == pytest.approx(0.15 * scale.mean())
    assert table.loc["low_confidence", "gain"] == 0
    p = table["gain_p"].to_numpy()[1:]
    assert table["gain_holm"].to_numpy()[1:] == pytest.approx(stats.holm(p))
    assert np.isnan(table.loc["left_to_right", "gain_holm"])


def test_the_spread_counts_every_random_order():
    table = joint.spread(orders({"right_to_left": -2.0, "random-2": 1.0}))
    scale = (1 + np.arange(TEXTS) / 10).mean()
    (line,) = table.to_dict("records")
    assert line["orders"] == 5
    assert line["span"] == pytest.approx(0.3 * scale)
    assert line["deviation"] == pytest.approx(scale * np.std([0, -0.2, 0, 0, 0.1], ddof=1))


def test_a_text_that_misses_an_order_is_left_out():
    whole = orders({"right_to_left": -2.0})
    table = joint.orders(whole[:-1])
    assert set(table["n"]) == {TEXTS - 1}


# ---------------------------------------------------------------------- budget


def test_drops_are_paired_with_one_a_step():
    table = joint.budget(budget(lambda n, text: (n - 1) * (1 + text / 10))).set_index("at_once")
    expected = stats.mean(0.3 * (1 + np.arange(TEXTS) / 10))
    assert table.loc[1, "drop"] == 0
    assert table.loc[4, "drop"] == pytest.approx(expected.mean)
    assert table.loc[4, "drop_high"] == pytest.approx(expected.high)
    assert table.loc[8, "illusion"] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("drops", "bound"),
    [
        ({2: 0.5, 4: 0.9, 8: 3}, 4),
        ({2: 2, 4: 0.1, 8: 0.1}, 1),
        ({2: -1, 4: 0.0, 8: 0.5}, 8),
        ({2: 1.1, 4: 2, 8: 3}, 1),
    ],
)
def test_the_bound_is_the_largest_n_before_any_that_costs_eps(drops, bound):
    """Eps is a nat here, of 10 tokens."""
    (line,) = joint.bound(budget(lambda n, _: drops.get(n, 0.0))).to_dict("records")
    assert (line["by_mean"], line["by_mean_low"], line["by_mean_high"]) == (bound, bound, bound)
    assert line["supported"] == bound
    assert line["budget_eps"] == 0.1


def test_the_bound_is_uncertain_where_texts_disagree():
    def drops(n, text):
        return {2: 0.2 * (text - 2), 4: 0.9 + 3 * (text - 2.5)}.get(n, 9.0 * (n == 8))

    (line,) = joint.bound(budget(drops)).to_dict("records")
    assert line["by_mean"] == 4
    assert line["by_mean_low"] == 2
    assert line["by_mean_high"] == 4
    assert line["supported"] == 2, "the interval of n = 4 reaches beyond eps"
    assert list(line).index("supported") < list(line).index("by_mean")


@pytest.mark.slow
def test_the_bound_is_never_more_than_the_texts_support():
    """Whatever texts say, no upper end up to it is above eps; a single text supports nothing."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        values = rng.normal(0.6, 1.0, (4, TEXTS)) * rng.choice([0, 1, 1, 1], (4, 1))
        frame = budget(lambda n, text, v=values: 0 if n == 1 else v[{2: 0, 4: 1, 8: 2}[n], text])
        (line,) = joint.bound(frame).to_dict("records")
        assert line["supported"] <= line["by_mean_low"] <= line["by_mean"]
        drops = joint.budget(frame)
        under = drops[(drops["at_once"] > 1) & (drops["at_once"] <= line["supported"])]
        assert (under["drop_high"].fillna(0) < line["budget_eps"]).all()
    alone = budget(lambda n, _: 0.0)
    (line,) = joint.bound(alone[alone["prompt"] == "a-0"]).to_dict("records")
    assert (line["supported"], line["by_mean"]) == (1, 8)


# ---------------------------------------------------------------------- all of it


def test_tables_hold_what_was_measured():
    assert set(joint.tables(everything())) == {
        *("pairs", "circulation", "sets", "orders", "spread", "budget", "bound"),
        *("total", "total_bound", "total_budget"),
    }
    assert set(joint.tables(rows_of(total=totals()))) == {"total", "total_bound"}
    assert set(joint.tables(rows_of(sets=sets(SHARES)))) == {"sets"}
    assert set(joint.tables(rows_of(budget=budget(lambda n, _: n)))) == {"budget", "bound"}
    assert set(joint.PRINTED) <= set(joint.tables(everything()))


def test_rows_of_something_else_are_refused():
    with pytest.raises((KeyError, ValueError)):
        joint.tables(rows_of(pairs=pd.DataFrame({"model": ["m"], "measure": ["pairs"]})))


def pictures(rows):
    return pictured(charts, joint.tables(rows), rows)


@pytest.mark.slow
def test_pictures_show_every_model_and_task():
    rows = everything(("m", "n"))
    drawn = pictures(rows)
    assert set(drawn) == {"", "orders", "pairs", "sets", "total"}
    assert drawn[""].titles() == ["a"]
    assert drawn[""].legend == ["m", "n", "eps: what it may cost", "largest n under eps"]
    (panel,) = drawn[""].panels
    assert panel.line("x", model="m") == [1, 2, 4, 8]
    assert panel.line(model="m")[0] == 0
    table = joint.tables(rows)
    own = table["budget"].query("model == 'm'")
    assert panel.line(model="m") == pytest.approx(list(own["drop"]), rel=1e-5)
    spread = budget(lambda n, text: (n - 1) * (1 + text / 10))
    ends = pictures(rows_of(budget=spread))[""].panels[0].line("high", model="m")
    assert ends[1:] == pytest.approx(list(joint.budget(spread)["drop_high"])[1:], rel=1e-5)
    assert [row["y"] for row in panel.layer(1)] == [0.1]
    bounds = table["bound"].set_index("model")["supported"].to_dict()
    assert {row["model"]: row["x"] for row in panel.layer(2)} == bounds
    (orders,) = drawn["orders"].panels
    names = ["right_to_left", "low_confidence", "random", "span over orders"]
    assert orders.domain("y") == names
    span = table["spread"].query("model == 'm'")["span"].item()
    found = {(row["model"], row["y"]): row["x"] for row in orders.rows}
    assert found["m", "span over orders"] == pytest.approx(span, rel=1e-5)
    assert drawn["sets"].titles() == ["m", "n"]
    (curve,) = drawn["total"].panels
    assert curve.line("x", model="n") == [1, 2, 4]
    own = table["total"].query("model == 'n'")
    for line, name in (("y", ""), ("high", "_high")):
        known = own[f"total_per_token{name}"].dropna()
        assert curve.line(line, model="n")[-len(known) :] == pytest.approx(
            known.to_list(), rel=1e-5
        )
    lost = [row["y"] for row in curve.layer(2) if row["model"] == "n"]
    assert lost == pytest.approx(own["draw_loss_per_token"].to_list(), rel=1e-5)
    assert [row["y"] for row in curve.layer(1)] == [0.1]
    shares = table["sets"].query("model == 'm'").set_index("set")["incoherent_parallel"]
    shown = [row for row in drawn["sets"].panels[0].rows if "x" in row]
    parallel = [row for row in shown if row["way"] == "parallel"]
    assert {row["y"]: row["x"] for row in parallel} == pytest.approx(
        dict(100 * shares.dropna()), rel=1e-5
    )


def test_one_text_has_means_without_intervals():
    frame = everything()
    few = {kind: own[own["prompt"].isin(["a-0", "one"])] for kind, own in frame.items()}
    tables = joint.tables(few)
    assert np.isnan(tables["budget"]["drop_low"]).all()
    assert np.isnan(tables["bound"]["by_mean_low"]).all()
    drawn = pictured(charts, tables, few)
    assert set(drawn) == {"", "orders", "pairs", "sets", "total"}
    assert "95 %" not in drawn[""].caption
