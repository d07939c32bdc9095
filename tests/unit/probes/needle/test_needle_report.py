"""The needle report: tables from rows alone, and heat maps that show them."""

import itertools

import numpy as np
import pandas as pd
import pytest

from mdlm_probe.analysis import stats
from mdlm_probe.probes.needle import report as needle

DEPTHS = (-1, 0, 50, 100)


def frame(models=("m",), lengths=(256, 1024), depths=DEPTHS, items=10, hit=None, logp=None):
    """Rows of a run; `hit` and `logp` are functions of length, depth and item."""
    hit, logp = hit or (lambda n, d, i: d >= 0), logp or (lambda n, d, i: -3.0 + 2 * (d >= 0))
    return pd.DataFrame(
        [
            {"model": model, "needles": "needle", "lexicon": "full", "seed": 0}
            | {"length": n, "item": i, "depth": d, "tokens": n - 6 - (d < 0)}
            | {"correct": int(hit(n, d, i)), "logp_right": float(logp(n, d, i))}
            for model, n, i, d in itertools.product(models, lengths, range(items), depths)
        ]
    )


def test_the_grid_has_wilsons_and_students_intervals():
    rows = frame(hit=lambda n, d, i: i < (d + 50) // 50, logp=lambda n, d, i: -i - (d >= 0))
    table = needle.grid(rows).set_index(["length", "depth"])
    assert table.loc[256, "exact"].tolist() == [0, 0.1, 0.2, 0.3]
    wilson = stats.proportion(np.array([1] * 3 + [0] * 7))
    assert table.loc[(1024, 100), ["exact_low", "exact_high"]].tolist() == [wilson.low, wilson.high]
    student = stats.mean(-np.arange(10) - 1.0)
    found = table.loc[(256, 50), ["logp", "logp_low", "logp_high", "n"]]
    assert found.tolist() == pytest.approx([student.mean, student.low, student.high, 10])
    # paired by needle: the spread between needles is gone
    assert table.loc[(256, 50), "gain"] == -1
    assert np.isnan(table.loc[(256, -1), "gain"])


def test_the_overview_sets_what_was_read_against_what_was_guessed():
    rows = frame(
        hit=lambda n, d, i: i < (2 if d < 0 else 8), logp=lambda n, d, i: -i if d < 0 else -i / 2
    )
    table = needle.overview(rows).set_index("length")
    assert table.loc[256, "exact"] == 0.8
    assert table.loc[256, "guessed"] == 0.2
    assert table.loc[256, "tokens"] == 250
    gain = stats.mean(np.arange(10) / 2)
    assert table.loc[1024, ["gain", "gain_low", "gain_p"]].tolist() == pytest.approx(
        [gain.mean, gain.low, gain.p]
    )
    assert table.loc[256, "logp"] == pytest.approx(-2.25)
    share = stats.share_over(np.arange(30) < 24, np.repeat(np.arange(10), 3))  # three depths
    ends = table.loc[256, ["exact_low", "exact_high"]].tolist()
    assert ends == pytest.approx([share.low, share.high])
    assert table["gain_holm"].to_numpy() == pytest.approx(stats.holm(table["gain_p"].to_numpy()))


def test_depth_is_compared_over_the_same_needles():
    rows = frame(
        lengths=(256,),
        hit=lambda n, d, i: d == 100 or i < 4,
        logp=lambda n, d, i: -abs(d - 50) / 50 - i,
    )
    table = needle.depth(rows).set_index("contrast")
    assert table.loc["end - start", "exact"] == pytest.approx(0.6)
    assert table.loc["end - start", "logp"] == 0
    assert table.loc["ends - middle", "exact"] == pytest.approx(0.3)
    assert table.loc["ends - middle", "logp"] == -1
    assert table["exact_p"].tolist() == pytest.approx([2 * 0.5**6] * 2)
    assert table["exact_holm"].tolist() == pytest.approx([2 * 2 * 0.5**6] * 2), "of two contrasts"
    assert table.loc["end - start", "logp_p"] == 1
    assert len(needle.depth(frame(depths=(-1, 50)))) == 0
    assert needle.depth(frame(depths=(0, 100)))["contrast"].unique().tolist() == ["end - start"]


def test_length_is_compared_over_the_same_needles():
    rows = frame(
        lengths=(256, 512, 1024),
        hit=lambda n, d, i: d >= 0 and i < 2560 // n,
        logp=lambda n, d, i: -n / 256 - i + (d >= 0) * 512 / n,
    )
    (row,) = needle.length(rows).to_dict("records")
    assert (row["shortest"], row["longest"], row["n"]) == (256, 1024, 10)
    assert row["exact"] == pytest.approx(0.8)
    assert row["exact_p"] == pytest.approx(2 * 0.5**8)
    assert row["logp"] == pytest.approx(3 + 2 - 0.5)
    assert row["gain"] == pytest.approx(1.5)
    assert len(needle.length(frame(lengths=(256,)))) == 0


def test_without_a_baseline_nothing_is_gained():
    rows = frame(depths=(0, 50, 100))
    for table in needle.tables(rows).values():
        assert not {"gain", "guessed"} & set(table.columns)
    (drawn,) = needle.figures(rows).values()
    assert "log-probability of the answer (nats)" in {axis.get_ylabel() for axis in drawn.axes}


def test_an_unfinished_run_counts_needles_that_have_every_depth():
    rows = frame(lengths=(256,))
    assert needle.overview(rows[:-2])["n"].tolist() == [9]
    assert needle.depth(rows[:-2])["n"].tolist() == [9, 9]
    short = rows[rows["depth"] < 0]
    assert all(len(table) == 0 for name, table in needle.tables(short).items() if name != "grid")
    assert len(needle.grid(short)) == 1
    assert needle.figures(short)


def panels(drawn):
    return [axis for axis in drawn.axes if axis.texts]


def test_the_heat_map_has_the_start_on_top_and_its_numbers_in_it():
    rows = frame(models=("m", "n"), hit=lambda n, d, i: d >= 0 and i < (10 if n == 256 else d / 10))
    drawn = needle.figures(rows)[""]
    above, other, below, _ = panels(drawn)
    assert [axis.get_title() for axis in (above, other)] == ["m", "n"]
    assert [t.get_text() for t in above.get_yticklabels()] == ["0", "50", "100", "absent"]
    assert [t.get_text() for t in below.get_yticklabels()] == ["0", "50", "100"]
    assert [t.get_text() for t in below.get_xticklabels()] == ["256", "1024"]
    assert above.yaxis_inverted()
    written = [t.get_text() for t in above.texts]
    assert written == ["100", "0", "100", "50", "100", "100", "0", "0"]
    assert [t.get_text() for t in below.texts] == ["+2.0"] * 6
    assert above.images[0].get_array().tolist()[1] == [100, 50]
    red, green = above.images[0].cmap(above.images[0].norm(0))[:2]
    assert red > green
    red, green = above.images[0].cmap(above.images[0].norm(100))[:2]
    assert green > red
    assert above.images[0].norm.vmax == other.images[0].norm.vmax == 100


def test_a_length_that_a_model_was_not_asked_stays_empty():
    rows = frame(models=("m", "n")).query("model == 'm' or length == 256")
    first, second = panels(needle.figures(rows)[""])[:2]
    assert (len(first.texts), len(second.texts)) == (8, 4)
    assert first.images[0].get_array().shape == second.images[0].get_array().shape


def test_a_gain_of_nothing_is_pale():
    drawn = needle.figures(frame(logp=lambda n, d, i: 0.001 * d - i))[""]
    gain = panels(drawn)[1].images[0]
    assert (gain.norm.vmin, gain.norm.vmax) == (-1, 1)
    assert {t.get_text() for t in panels(drawn)[1].texts} <= {"0.0", "+0.1"}


def test_rows_of_another_probe_are_refused():
    with pytest.raises(KeyError):
        needle.tables(pd.DataFrame({"model": ["m"], "depth": [0]}))


def test_an_interrupted_run_has_a_report():
    """Rows cut anywhere in the longest length, before its first baseline too."""
    rows = frame(items=2)
    for count in range(1, len(rows)):
        needle.tables(rows.iloc[:count].copy())
    needle.figures(rows.iloc[: len(rows) // 2 + 3].copy())
