"""The judge report: win rates from rows alone, and a picture that shows them."""

import numpy as np
import pandas as pd
import pytest
from pictured import pictured

from mdlm_probe.analysis import stats
from mdlm_probe.runs.judges import report as judge

STRENGTH = {"A>>B": 2, "A>B": 1, "A=B": 0, "B>A": -1, "B>>A": -2}


def row(prompt, verdict, order="first", **changed):
    """A row as judging writes it; the score follows from verdict and order."""
    strength = STRENGTH.get(verdict, np.nan) * (-1 if order == "second" else 1)
    score = np.nan if strength != strength else (np.sign(strength) + 1) / 2
    told = {"judge": "jury", "model": "m", "prompt": prompt, "task": "t", "settings": np.nan}
    told |= {"seed": 0, "intervention": "shift", "frac": 0.1, "shown": order, "identical": 0}
    return told | {"verdict": verdict, "win": score, "strength": strength} | changed


def both(prompt, first, second, **changed):
    return [row(prompt, first, "first", **changed), row(prompt, second, "second", **changed)]


def pictures(rows):
    return pictured(judge, judge.tables(rows), rows)


def only(rows, name="winrate"):
    (found,) = judge.tables(pd.DataFrame(rows))[name].to_dict("records")
    return found


def test_orders_are_averaged_within_prompts_and_ties_are_half():
    rows = [
        *both("won", "A>B", "B>>A"),  # 1
        *both("tied", "A>B", "A>B"),  # always the first: 1/2
        *both("half", "A=B", "B>A"),  # 3/4
        *both("lost", "B>A", "A>B"),  # 0
        row("equal", "A=B", "none", identical=1),  # 1/2
    ]
    found = only(rows)
    scores = np.array([1, 0.5, 0.75, 0, 0.5])
    assert found["winrate"] == pytest.approx(scores.mean())
    assert (found["n"], found["wins"], found["ties"], found["losses"]) == (5, 2, 2, 1)
    assert found["p"] == 1.0, "of two wins and one loss"
    gap = stats.paired_hits(scores, 1 - scores)
    ends = (1 + gap.low) / 2, (1 + gap.high) / 2
    assert (found["winrate_low"], found["winrate_high"]) == pytest.approx(ends)
    assert 0 <= ends[0] < scores.mean() < ends[1] <= 1
    assert found["identical_pairs"] == 1
    assert found["flips"] == pytest.approx(2 / 4), "'tied' and 'half' depend on the order"
    wilson = stats.proportion(np.array([1, 1, 0, 0]))
    assert (found["flips_low"], found["flips_high"]) == (wilson.low, wilson.high)
    assert found["first_share"] == pytest.approx(4 / 7), "A of seven that are decided"
    assert "settings" not in found


def test_seeds_are_averaged_within_prompts_after_orders():
    rows = [*both("p", "A>B", "B>A", seed=0), row("p", "B>A", seed=1), *both("q", "B>A", "A>B")]
    assert only(rows)["winrate"] == pytest.approx((0.5 + 0) / 2)


def test_the_sign_test_is_over_prompts():
    rows = [line for i in range(10) for line in both(f"p{i}", "B>A", "A>>B")]
    found = only(rows)
    assert found["winrate"] == 0
    assert found["p"] == pytest.approx(2 * 0.5**10)
    assert found["winrate_low"] == 0, "there is no less"
    assert 0.05 < found["winrate_high"] < 0.4, "ten losses do not rule out wins"


def test_calls_without_a_verdict_are_counted_and_weigh_nothing():
    rows = [
        *both("a", "A>B", "refused"),
        *both("b", "unparsable", "B>A"),
        *both("c", "failed", "failed"),
        *both("d", "A>B", "B>A"),
    ]
    found = only(rows)
    assert (found["refused"], found["unparsable"], found["failed"]) == (1, 1, 2)
    # one order alone would hold the order's bias
    assert (found["winrate"], found["n"]) == (1.0, 1)
    assert found["flips"] == 0
    rows = rows[:-2]
    found = only(rows)
    assert (np.isnan(found["winrate"]), found["n"]) == (True, 0)
    assert np.isnan(found["flips"])


def test_nothing_but_failures_is_still_a_table():
    rows = pd.DataFrame(both("a", "failed", "failed"))
    (found,) = judge.tables(rows)["winrate"].to_dict("records")
    assert np.isnan(found["winrate"])
    assert (found["n"], found["failed"]) == (0, 2)
    assert pictures(rows) == {}, "there is nothing to see"


def test_two_pairs_of_a_prompt_keep_their_own_orders():
    """Half of the pairs flip; mixed up, other pairs would."""
    rows = [*both("p", "A>B", "A>B"), *both("p", "B>A", "A>B")]
    assert only(rows)["flips"] == pytest.approx(0.5)
    rows = [*both("p", "unparsable", "A>B"), *both("p", "A>B", "B>A")]
    assert only(rows)["flips"] == 0


def trended(slope, count=12):
    """Prompts that win at 0 % of tokens and lose the sooner the steeper the slope."""
    return [
        row(f"p{i}", "A>B" if i < count * (0.5 + slope * 100 * frac) else "B>A", frac=frac)
        for i in range(count)
        for frac in (0.0, 0.05, 0.1)
    ]


def asked_in_both_orders(prefers, prompts):
    """Verdicts of a judge that a function gives, of prompt and order."""
    return [
        row(f"p{n}", prefers(n, order), order)
        for n in range(prompts)
        for order in ("first", "second")
    ]


ALWAYS_FIRST = {"first": "A>B", "second": "A>B"}
ALWAYS_SHIFTED = {"first": "A>B", "second": "B>A"}


@pytest.mark.parametrize(
    ("prefers", "prompts", "followed", "flips"),
    [
        (lambda n, order: ALWAYS_FIRST[order], 8, "order", 1),  # as a model of 135 M does
        (lambda n, order: ALWAYS_FIRST[order], 2, "unclear", 1),  # too few to say
        (lambda n, order: ALWAYS_SHIFTED[order], 8, "text", 0),
        (lambda n, order: (ALWAYS_FIRST, ALWAYS_SHIFTED)[n % 2][order], 40, "unclear", 0.5),
        (lambda n, order: (ALWAYS_FIRST[order], "A=B")[n % 2], 20, "order", 0.5),  # ties aside
        (lambda n, order: "A=B", 8, "unclear", 0),
    ],
)
def test_what_verdicts_follow(prefers, prompts, followed, flips):
    found = only(asked_in_both_orders(prefers, prompts))
    assert (found["follows"], found["flips"]) == (followed, flips)


def test_a_judge_that_cannot_tell_is_said_to_be_one():
    """Over all fractions together: two prompts at each of four tell nothing alone."""
    rows = [
        row(f"p{n}", "A>B", order, frac=frac)
        for frac in (0.01, 0.02, 0.05, 0.1)
        for n in range(2)
        for order in ("first", "second")
    ]
    assert set(judge.tables(pd.DataFrame(rows))["winrate"]["follows"]) == {"unclear"}
    (said,) = judge.notes(pd.DataFrame(rows))
    assert said.startswith("m: jury can't tell the texts apart: 100% of its verdicts change")
    honest = asked_in_both_orders(lambda n, order: ALWAYS_SHIFTED[order], 8)
    assert judge.notes(pd.DataFrame(honest)) == []
    (said,) = judge.notes(pd.DataFrame([row("p", "A>B", "none", judge="nll")]))
    assert "likelihood, by which repetition wins" in said


@pytest.mark.parametrize("lean", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("tie", [0.0, 0.4])
def test_one_who_reads_nothing_never_follows_the_text(lean, tie):
    """Ties or the first text by chance: verdicts of many pairs flip half of the time or more."""
    rng = np.random.default_rng(0)

    def blind(n, order):
        return "A=B" if rng.random() < tie else "A>B" if rng.random() < lean else "B>A"

    assert only(asked_in_both_orders(blind, 400))["follows"] in ("order", "unclear")


def test_judges_that_are_no_models_say_what_they_follow():
    rows = [row("p", "A>B", "none", judge=name) for name in ("nll", "language", "jury")]
    table = judge.tables(pd.DataFrame(rows))["winrate"].set_index("judge")["follows"]
    assert table.to_dict() == {"nll": "likelihood", "language": "language", "jury": ""}


def test_the_trend_is_the_slope_of_win_rates_by_percent():
    found = only(trended(-0.05), "trend")
    assert found["slope"] == pytest.approx(-0.05)
    rates = judge.tables(pd.DataFrame(trended(-0.05)))["winrate"]
    line = np.polyfit(100 * rates["frac"], rates["winrate"], 1)
    assert found["slope"] == pytest.approx(line[0])
    assert found["slope_low"] < found["slope"] < found["slope_high"] < 0
    assert found["sign_p"] == pytest.approx(2 * 0.5**6), "six prompts change, all downwards"
    assert found["p"] < 0.05, "as the interval says"
    assert (found["n"], found["fractions"]) == (12, 3)
    flat = only(trended(0.0), "trend")
    assert (flat["p"], flat["sign_p"]) == (1, 1)
    few = only(trended(-0.02), "trend")
    assert (few["p"] < 0.05) == (few["slope_high"] < 0)


def test_a_fraction_of_0_is_no_test():
    rows = [
        line | {"frac": frac}
        for frac, lost in ((0.0, 0), (0.05, 6), (0.1, 9))
        for i in range(9)
        for line in both(f"p{i}", *(("B>A", "A>B") if i < lost else ("A=B", "A=B")))
    ]
    table = judge.tables(pd.DataFrame(rows))["winrate"].set_index("frac")
    assert np.isnan(table.loc[0.0, ["p", "p_holm"]].astype(float)).all()
    raw = [2 * 0.5**6, 2 * 0.5**9]
    assert table["p"].tolist()[1:] == pytest.approx(raw)
    assert table["p_holm"].tolist()[1:] == pytest.approx([raw[0], 2 * raw[1]]), "two, not three"


def test_prompts_that_miss_a_fraction_have_no_slope():
    rows = [line for line in trended(-0.05) if (line["prompt"], line["frac"]) != ("p5", 0.1)]
    assert only(rows, "trend")["n"] == 11
    assert "trend" not in judge.tables(pd.DataFrame(both("p", "A>B", "B>A")))


@pytest.mark.slow
def test_judges_models_interventions_and_ways_of_decoding_are_kept_apart():
    rows = [
        line
        for judged in ("nll", "jury")
        for model in ("m", "n")
        for kind in ("shift", "hold")
        for steps in ("steps=4", "steps=8")
        for frac in (0.1, 0.01)
        for line in both(
            *("p", "A>B", "B>A"),
            judge=judged,
            model=model,
            intervention=kind,
            frac=frac,
            settings=steps,
        )
    ]
    table = judge.tables(pd.DataFrame(rows))["winrate"]
    assert len(table) == 32
    assert table["judge"].tolist() == ["nll"] * 16 + ["jury"] * 16, "as they first appear"
    assert table["intervention"].tolist()[:4] == ["shift", "shift", "hold", "hold"]
    assert table["frac"].tolist()[:2] == [0.01, 0.1]
    assert len(pictures(pd.DataFrame(rows))[""].panels) == 8


def test_the_chart_shows_the_tables_numbers():
    rows = pd.DataFrame(
        [*trended(-0.05), *(line | {"intervention": "hold"} for line in trended(0.0))]
    )
    table = judge.tables(rows)["winrate"].set_index(["intervention", "frac"])
    drawn = pictures(rows)[""]
    (panel,) = drawn.panels
    assert panel.values("intervention") == ["shift", "hold"]
    for name in ("shift", "hold"):
        assert panel.line("x", intervention=name) == pytest.approx([0, 5, 10])
        for field, column in (("y", "winrate"), ("low", "winrate_low"), ("high", "winrate_high")):
            expected = list(100 * table.loc[name, column])
            found = panel.line(field, intervention=name)
            assert found == pytest.approx(expected, rel=1e-5, nan_ok=True)
    assert panel.colours()["shift"] != panel.colours()["hold"]
    assert [row["y"] for row in panel.layer()] == [50]
    assert drawn.legend == ["shift", "hold", "as good as unchanged"]
    assert "95 %" in drawn.caption


def test_rows_that_judging_did_not_write_are_refused():
    with pytest.raises(KeyError):
        judge.tables(pd.DataFrame([{"model": "m", "win": 1}]))
