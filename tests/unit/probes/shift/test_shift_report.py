"""The shift report: tables from hand-made rows, and pictures that show them."""

import itertools

import numpy as np
import pandas as pd
import pytest
from pictured import pictured
from tables_once import remembering

from mdlm_probe.analysis import stats
from mdlm_probe.probes.shift import charts
from mdlm_probe.probes.shift import report as shift

FRACS = (0.01, 0.1)
KINDS = ("shift", "post-hoc", "replace", "hold")
NATS = {"shift": 0.3, "post-hoc": 0.1, "replace": 0.2, "hold": 0.0}
CHANGED = {"shift": 2, "post-hoc": 2, "replace": 4, "hold": 4}
tables_of = remembering(shift.tables)


def wobble(prompt):
    """-1, 0, 1, 0: spread between prompts that a mean over four doesn't see."""
    return (-1, 0, 1, 0)[prompt]


def frame(models=("m",), fracs=FRACS, kinds=KINDS, scored=True, answerable=True):
    """Rows of four prompts; harm and changes grow in proportion to the fraction."""
    rows = []
    for model, prompt in itertools.product(models, range(4)):
        whats = [("none", 0.0), *itertools.product(kinds, fracs)]
        rows += [row(model, prompt, kind, frac, scored, answerable) for kind, frac in whats]
    return pd.DataFrame(rows)


def row(model, prompt, kind, frac, scored, answerable):
    """1 % changes 2 or 4 of 100 tokens, and adds `NATS` to the nats per token."""
    tens = round(100 * frac)
    changed = tens * CHANGED.get(kind, 0)
    more = tens * (NATS.get(kind, 0) + 0.1 * wobble(prompt) * (kind != "none"))
    moved = kind in ("shift", "post-hoc")
    shifted, differs = kind == "shift", changed and prompt
    return (
        {"model": model, "prompt": f"p{prompt}", "task": "t", "intervention": kind, "frac": frac}
        | {"answer_tokens": 50, "ended": prompt == 0, "offered": 100, "passes": 100}
        | {"nll": 20 * (1.5 + prompt + more) if scored else None, "scorer_tokens": 20}
        | {"correct": int(prompt < 3 and changed < 40) if answerable else None}
        | {"hits": changed + (tens if shifted else 0), "blocked": tens if shifted else 0}
        | {"changed": changed, "realised": changed / 100, "visible": changed}
        | dict.fromkeys(("to_right", "to_left"), changed / 2 if moved else None)
        | {"refilled": changed if shifted else None, "doubled": changed / 4 if shifted else None}
        | {"edit_distance": changed if prompt else 0, "divergence": 4 + prompt if differs else None}
        | {f"parted_{n}": 0.1 * prompt if differs else None for n in (8, 32)}
        | {"cascade": 3 * changed if kind in ("shift", "replace") else 0}
    )


def test_harm_is_beside_the_same_prompts_unintervened_answer():
    table = tables_of(frame())["harm"].set_index(["intervention", "frac"])
    assert len(table) == 8
    found = table.loc["shift", 0.01]
    expected = stats.mean(0.3 + 0.1 * np.array([-1, 0, 1, 0]))
    assert found["nats"] == pytest.approx(0.3)  # prompts' own levels are gone
    assert (found["nats_low"], found["nats_high"]) == pytest.approx((expected.low, expected.high))
    assert found["nats_p"] == pytest.approx(expected.p)
    assert found["scored"] == found["n"] == 4
    assert found["edits"] == pytest.approx(3 / 4 * 2 / 50)
    edits = stats.amount(np.array([0, 4, 4, 4]) / 100, 1)
    assert found["edits_low"] == pytest.approx(edits.low)
    assert found["edits_high"] == pytest.approx(edits.high)
    share = stats.proportion(np.array([0, 1, 1, 1]))
    assert found["answers_differ"] == 0.75
    ends = found["answers_differ_low"], found["answers_differ_high"]
    assert ends == pytest.approx((share.low, share.high))
    assert found["realised"] == pytest.approx(0.02)
    assert table.loc["replace", 0.1]["realised"] == pytest.approx(0.4)


def test_exact_matches_are_compared_by_a_sign_test():
    table = tables_of(frame())["harm"].set_index(["intervention", "frac"])
    lost = table.loc["replace", 0.1]
    assert lost["correct_points"] == pytest.approx(-75)
    assert lost["correct_points_p"] == pytest.approx(2 * 0.5**3)
    assert lost["answerable"] == 4
    assert lost["correct_points_low"] >= -100
    assert table.loc["shift", 0.1]["correct_points"] == 0
    none = tables_of(frame(answerable=False))["harm"]
    assert not [name for name in none.columns if name.startswith("correct")]


def test_p_values_are_corrected_for_a_models_rows_but_not_for_fractions_of_nothing():
    fracs = (0.0, *FRACS)
    table = tables_of(frame(("m", "n"), fracs))["harm"]
    assert table.loc[table["frac"] == 0, "nats_p"].isna().all()
    assert (table.loc[table["frac"] == 0, ["nats", "edits", "answers_differ"]] == 0).all().all()
    for _, part in table.groupby("model"):
        tested = part[part["frac"] > 0]
        assert len(tested) == 8
        assert tested["nats_holm"].to_numpy() == pytest.approx(stats.holm(list(tested["nats_p"])))
    assert (table["nats_holm"].dropna() > table["nats_p"].dropna()).any()


def test_compounding_is_the_shift_minus_each_control():
    rows = frame()
    # the controls' spread is their own, so that differences have one
    rows.loc[(rows["intervention"] == "post-hoc") & (rows["prompt"] == "p0"), "nll"] += 2.0
    table = tables_of(rows)["compounding"].set_index(["against", "frac"])
    assert len(table) == 6
    found = table.loc["post-hoc", 0.01]
    expected = stats.mean(np.array([0.1, 0.2, 0.2, 0.2]))
    assert found["nats"] == pytest.approx(expected.mean)
    assert found["nats_low"] == pytest.approx(expected.low)
    assert found["nats_p"] == pytest.approx(expected.p)
    assert found["edits_points"] == 0
    shares = found["realised"], found["realised_control"]
    assert shares == pytest.approx((0.02, 0.02))
    assert table.loc["replace", 0.01]["edits_points"] == pytest.approx(-100 * 3 / 4 * 2 / 50)
    assert table.loc["replace", 0.01]["realised_control"] == pytest.approx(0.04)
    gained = table.loc["replace", 0.1]
    assert (gained["correct_points"], gained["correct_points_p"]) == pytest.approx((75, 0.25))
    holm = stats.holm(list(table["nats_p"]))
    assert table["nats_holm"].to_numpy() == pytest.approx(holm, nan_ok=True)


def test_the_trend_is_by_realised_percent():
    table = tables_of(frame(fracs=(0.0, 0.01, 0.05, 0.1)))["trend"].set_index("intervention")
    # 0.3 nats for every 2 % changed; 0.2 for every 4 %
    assert table.loc["shift", "nats_slope"] == pytest.approx(0.15)
    assert table.loc["replace", "nats_slope"] == pytest.approx(0.05)
    assert table.loc["hold", "nats_slope"] == pytest.approx(0, abs=1e-12)
    assert 0 < table.loc["shift", "nats_slope_low"] < 0.15
    assert 0.15 < table.loc["shift", "nats_slope_high"] < 0.3
    assert table.loc["shift", "edits_slope"] == pytest.approx(0.75 * 2)
    assert table.loc["shift", "fracs"] == 3


def test_a_bent_trend_is_least_squares_through_the_origin():
    rows = frame(fracs=(0.01, 0.1), kinds=("shift",))
    rows.loc[rows["frac"] == 0.1, "nll"] = rows.loc[rows["frac"] == 0.1, "nll"] + 20 * 4.0
    (found,) = tables_of(rows)["trend"].to_dict("records")
    x, y = np.array([2, 20]), np.array([0.3, 7.0])
    assert found["nats_slope"] == pytest.approx((x * y).sum() / (x * x).sum())


def test_a_trend_needs_no_change_in_every_prompt():
    rows = frame(fracs=(0.1,), kinds=("shift",))
    rows.loc[rows["prompt"] != "p1", "changed"] = 0
    still = (rows["prompt"] != "p1") & (rows["intervention"] == "shift")
    rows.loc[still, "nll"] = 20 * (1.5 + rows.loc[still, "prompt"].str[1].astype(int))
    (found,) = tables_of(rows)["trend"].to_dict("records")
    assert found["nats_slope"] == pytest.approx(0.15)
    rows["changed"] = 0
    (none,) = tables_of(rows)["trend"].to_dict("records")
    assert np.isnan(none["nats_slope"])


def test_a_cascade_is_counted_by_change():
    table = tables_of(frame())["cascade"].set_index(["intervention", "frac"])
    found = table.loc["shift", 0.1]
    assert found["by_change"] == pytest.approx(3)
    assert found["changed"] == 20
    assert found["differing"] == 3
    assert found["divergence"] == pytest.approx(6)
    expected = stats.mean(np.array([0.1, 0.2, 0.3]))
    assert found["parted_8"] == pytest.approx(0.2)
    assert found["parted_32_high"] == pytest.approx(expected.high)
    assert table.loc["post-hoc", 0.1]["by_change"] == 0


def test_ratios_are_of_sums_and_leave_out_prompts_without_changes():
    rows = frame(kinds=("shift",), fracs=(0.1,))
    at = rows["intervention"] == "shift"
    rows.loc[at, "changed"] = [0, 2, 4, 10]
    rows.loc[at, "cascade"] = [0, 20, 4, 16]
    (found,) = tables_of(rows)["cascade"].to_dict("records")
    assert found["by_change"] == pytest.approx(40 / 16)
    assert found["by_change_low"] == 0, "three prompts that differ: cut there"
    assert 2.5 < found["by_change_high"] < 20


def test_moves_are_shares_of_hits_and_of_moves():
    table = tables_of(frame())["moves"].set_index(["intervention", "frac"])
    found = table.loc["shift", 0.1]
    assert (found["hits"], found["changed"]) == (4 * 30, 4 * 20)
    assert found["blocked_share"] == pytest.approx(1 / 3)
    assert found["to_right_share"] == found["to_left_share"] == pytest.approx(1 / 3)
    shares = [found[f"{name}_share"] for name in ("refilled", "doubled", "visible")]
    assert shares == pytest.approx([1, 0.25, 1])
    assert np.isnan(table.loc["replace", 0.1]["refilled_share"])
    assert table.loc["replace", 0.1]["visible_share"] == pytest.approx(1)


def test_the_unintervened_answers_are_described():
    (found,) = tables_of(frame())["unintervened"].to_dict("records")
    assert (found["n"], found["answer_tokens"], found["answerable"]) == (4, 50, 4)
    assert found["ended"] == 0.25
    assert found["correct"] == 0.75
    assert found["nll_per_token"] == pytest.approx(3.0)
    assert found["perplexity"] == pytest.approx(np.exp(3))


def test_answers_without_scores_and_answers_without_tokens():
    found = tables_of(frame(scored=False))
    assert not [name for name in found["harm"].columns if name.startswith("nats")]
    assert not [name for name in found["compounding"].columns if name.startswith("nats")]
    drawn = pictures(frame(scored=False))[""]
    assert len(drawn.panels) == 2
    rows = frame()
    rows.loc[rows["prompt"] == "p3", ["scorer_tokens", "nll", "answer_tokens"]] = 0
    rows.loc[rows["prompt"] == "p3", "edit_distance"] = 0
    harm = tables_of(rows)["harm"]
    assert set(harm["scored"]) == {3}
    assert set(harm["n"]) == {4}


def test_runs_of_one_kind_or_with_nothing_done():
    one = tables_of(frame(kinds=("hold",)))
    assert len(one["compounding"]) == 0
    assert len(one["harm"]) == 2
    for rows in (frame(fracs=(0.0,)), frame(kinds=())):
        found = tables_of(rows)
        assert len(found["unintervened"]) == 1
        assert len(found["cascade"]) == len(found["trend"]) == 0
        assert pictured(charts, found, rows) == {}


def test_a_prompt_that_misses_its_last_rows_is_left_out_of_pairs():
    rows = frame()
    cut = rows.drop(rows[(rows["prompt"] == "p3") & (rows["intervention"] == "post-hoc")].index)
    table = tables_of(cut)["compounding"].set_index(["against", "frac"])
    assert table.loc["post-hoc", 0.1]["n"] == 3
    assert table.loc["hold", 0.1]["n"] == 4


def pictures(rows):
    return pictured(charts, tables_of(rows), rows)


@pytest.mark.slow
def test_the_charts_show_the_tables_numbers():
    rows = frame(("m", "n"), (0.0, *FRACS))
    drawn = pictures(rows)
    assert set(drawn) == {"", "likelihood", "cascade"}
    assert set(shift.PRINTED) <= set(tables_of(rows))
    assert drawn[""].columns == 2
    assert drawn[""].titles() == ["m"] * 2 + ["n"] * 2
    edit, right = drawn[""].panels[:2]
    nats = drawn["likelihood"].panels[0]
    moved = {"intervention": "moved while decoding (shift)"}
    assert nats.line("x", **moved) == pytest.approx([0, 1, 10])
    assert nats.line(**moved) == pytest.approx([0, 0.3, 3.0])
    harm = tables_of(rows)["harm"].query("model == 'm' and intervention == 'shift'")
    scales = (nats, "nats", 1), (edit, "edits", 100), (right, "correct_points", 1)
    for panel, name, times in scales:
        for end in ("low", "high"):
            expected = pytest.approx(list(times * harm[f"{name}_{end}"]), rel=1e-5, nan_ok=True)
            assert panel.line(end, **moved) == expected
        assert [row["y"] for row in panel.layer()] == [0], "nothing is lost there"
    assert "nats" in nats.axis_title("y")
    assert "%" in edit.axis_title("y")
    assert "points" in right.axis_title("y")
    assert drawn[""].legend == list(charts.NAMES.values())[1:]
    assert drawn["cascade"].panels[0].line(**moved) == pytest.approx([3, 3])


# ---------------------------------------------------------------------- quality


def measured(models=("m",)):
    """The same rows with a truth: what is changed costs valid words, and adds entropy."""
    rows = frame(models, (0.0, *FRACS))
    lost = 10 * rows["changed"] // 20
    level = rows["prompt"].str[1].astype(int)
    return rows.assign(
        words=40,
        valid=40 - lost,
        valid_new=40 - lost - level,
        pairs=4,
        kept=4 - (lost > 5),
        kept_new=4 - (lost > 5),
        truth=(44 - lost - level / 2 - (lost > 5)) / 44,
        repeated=0.1 * level,
        longest_repeat=level + 2,
        distinct_1=0.5,
        distinct_2=0.75,
        entropy_1=2 + 0.01 * rows["changed"] + 0.1 * level,
        entropy_2=3 + 0.1 * level,
        late=rows["changed"] // 2,
    )


def test_quality_is_that_of_texts_whatever_the_scorer_says():
    table = tables_of(measured())["quality"].set_index(["intervention", "frac"])
    assert len(table) == 1 + 8, "a fraction of 0 does nothing"
    plain, moved = table.loc["none", 0.0], table.loc["shift", 0.1]
    assert (plain["valid_share"], plain["kept_share"]) == (1, 1)
    assert (plain["n"], plain["judged"]) == (4, 4)
    assert moved["valid_share"] == pytest.approx(30 / 40)
    assert moved["kept_share"] == pytest.approx(3 / 4)
    assert plain["truth"] == pytest.approx(1 - 0.75 / 44)
    assert plain["truth_low"] < plain["truth"] < plain["truth_high"] <= 1
    assert (plain["repeated"], plain["longest_repeat"]) == pytest.approx((0.15, 3.5))
    assert (plain["entropy_1"], moved["entropy_1"]) == pytest.approx((2.15, 2.35))


def test_harm_and_compounding_have_a_truth_that_repetition_does_not_win():
    tables = tables_of(measured())
    harm = tables["harm"].set_index(["intervention", "frac"])
    found = harm.loc["shift", 0.1]
    assert (found["truth_points"], found["valid_points"]) == pytest.approx((-100 * 11 / 44, -25))
    assert found["more_entropy"] == pytest.approx(0.2)
    assert found["judged"] == 4
    assert found["realised"] == pytest.approx(0.2)
    both = tables["compounding"].set_index(["against", "frac"])
    assert both.loc["post-hoc", 0.1]["truth_points"] == 0
    assert both.loc["replace", 0.1]["truth_points"] == pytest.approx(100 * 10 / 44)
    assert {"truth_points_p", "valid_points_p", "truth_points_holm"} <= set(both.columns)
    slope = tables["trend"].set_index("intervention").loc["shift", "truth_slope"]
    x, y = np.array([2, 20]), np.array([-100 / 44, -1100 / 44])
    assert slope == pytest.approx((x * y).sum() / (x * x).sum(), rel=1e-6)


def test_the_frontier_compares_at_equal_entropy():
    """hold costs nothing and adds no entropy; what repeats itself is compared with all others."""
    rows = measured()
    table = tables_of(rows)["frontier"].set_index(["intervention", "frac"])
    assert table.loc["shift", 0.1]["matched"] > table.loc["post-hoc", 0.1]["matched"] >= 0
    again = rows["intervention"] == "none"
    rows.loc[again, ["entropy_1", "nll"]] = (0.5, 20 * 0.1)
    degenerate = tables_of(rows)["frontier"].set_index(["intervention", "frac"])
    assert degenerate.loc["none", 0.0]["matched"] == 0, "the least perplexity there is"
    others = table.index[1:]
    gains = table.loc[others, "matched"] - degenerate.loc[others, "matched"]
    assert (gains >= -1e-9).all(), "and it beats none of them"


def test_moves_to_either_side_and_late_ones_are_printed():
    assert {"quality", "frontier", "moves", "harm"} <= set(shift.PRINTED)
    found = tables_of(measured())["moves"].set_index(["intervention", "frac"]).loc["shift", 0.1]
    assert (found["realised"], found["late_share"]) == pytest.approx((0.2, 0.5))


@pytest.mark.slow
def test_the_charts_of_rows_with_a_truth():
    drawn = pictures(measured(("m", "n")))
    assert set(drawn) == {"", "likelihood", "cascade", "frontier"}
    assert len(drawn[""].panels) == 8
    assert drawn["likelihood"].columns == 2
    assert "truth" in drawn[""].panels[0].axis_title("y")
    assert drawn["frontier"].titles() == ["m", "n"]
    assert "entropy" in drawn["frontier"].panels[0].axis_title("x")
    assert drawn["frontier"].legend[: len(charts.NAMES)] == list(charts.NAMES.values())
