"""The needle report: tables from rows alone, and heat maps that show them."""

import itertools

import numpy as np
import pandas as pd
import pytest
from pictured import pictured

from mdlm_probe.analysis import stats
from mdlm_probe.probes.needle import report as needle

DEPTHS = (-1, 0, 50, 100)


def frame(models=("m",), lengths=(256, 1024), depths=DEPTHS, items=10, hit=None, logp=None):
    """Rows of a run; `hit` and `logp` are functions of length, depth and item."""
    hit, logp = hit or (lambda n, d, i: d >= 0), logp or (lambda n, d, i: -3.0 + 2 * (d >= 0))
    return pd.DataFrame(
        [
            {"model": model, "needles": "needle", "lexicon": "full", "seed": 0}
            | {"context_length": n, "item": i, "depth": d, "tokens": n - 6 - (d < 0)}
            | {"correct": int(hit(n, d, i)), "logp_right": float(logp(n, d, i))}
            for model, n, i, d in itertools.product(models, lengths, range(items), depths)
        ]
    )


def test_the_grid_has_wilsons_and_students_intervals():
    rows = frame(hit=lambda n, d, i: i < (d + 50) // 50, logp=lambda n, d, i: -i - (d >= 0))
    table = needle.grid(rows).set_index(["context_length", "depth"])
    assert table.loc[256, "exact"].tolist() == [0, 0.1, 0.2, 0.3]
    wilson = stats.proportion(np.array([1] * 3 + [0] * 7))
    assert table.loc[(1024, 100), ["exact_low", "exact_high"]].tolist() == [wilson.low, wilson.high]
    student = stats.mean(-np.arange(10) - 1.0)
    found = table.loc[(256, 50), ["logp_right", "logp_right_low", "logp_right_high", "n"]]
    assert found.tolist() == pytest.approx([student.mean, student.low, student.high, 10])
    # paired by needle: the spread between needles is gone
    assert table.loc[(256, 50), "logp_gain"] == -1
    assert np.isnan(table.loc[(256, -1), "logp_gain"])


def test_the_overview_sets_what_was_read_against_what_was_guessed():
    rows = frame(
        hit=lambda n, d, i: i < (2 if d < 0 else 8), logp=lambda n, d, i: -i if d < 0 else -i / 2
    )
    table = needle.overview(rows).set_index("context_length")
    assert table.loc[256, "exact"] == 0.8
    assert table.loc[256, "guessed"] == 0.2
    assert table.loc[256, "tokens"] == 250
    gain = stats.mean(np.arange(10) / 2)
    assert table.loc[1024, ["logp_gain", "logp_gain_low", "logp_gain_p"]].tolist() == pytest.approx(
        [gain.mean, gain.low, gain.p]
    )
    assert table.loc[256, "logp_right"] == pytest.approx(-2.25)
    share = stats.share_over(np.arange(30) < 24, np.repeat(np.arange(10), 3))  # three depths
    ends = table.loc[256, ["exact_low", "exact_high"]].tolist()
    assert ends == pytest.approx([share.low, share.high])
    assert table["logp_gain_holm"].to_numpy() == pytest.approx(
        stats.holm(table["logp_gain_p"].to_numpy())
    )


def test_depth_is_compared_over_the_same_needles():
    rows = frame(
        lengths=(256,),
        hit=lambda n, d, i: d == 100 or i < 4,
        logp=lambda n, d, i: -abs(d - 50) / 50 - i,
    )
    table = needle.depth(rows).set_index("contrast")
    assert table.loc["end - start", "exact"] == pytest.approx(0.6)
    assert table.loc["end - start", "logp_right"] == 0
    assert table.loc["ends - middle", "exact"] == pytest.approx(0.3)
    assert table.loc["ends - middle", "logp_right"] == -1
    assert table["exact_p"].tolist() == pytest.approx([2 * 0.5**6] * 2)
    assert table["exact_holm"].tolist() == pytest.approx([2 * 2 * 0.5**6] * 2), "of two contrasts"
    assert table.loc["end - start", "logp_right_p"] == 1
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
    assert row["logp_right"] == pytest.approx(3 + 2 - 0.5)
    assert row["logp_gain"] == pytest.approx(1.5)
    assert len(needle.length(frame(lengths=(256,)))) == 0


def test_without_a_baseline_nothing_is_gained():
    rows = frame(depths=(0, 50, 100))
    for table in needle.tables(rows).values():
        assert not {"logp_gain", "guessed"} & set(table.columns)
    drawn = pictures(rows)
    assert set(drawn) == {"", "logp"}
    legend = drawn["logp"].panels[0].encoding("color")["legend"]
    assert legend["title"] == "log-probability of the answer (nats)"


def test_an_unfinished_run_counts_needles_that_have_every_depth():
    rows = frame(lengths=(256,))
    assert needle.overview(rows[:-2])["n"].tolist() == [9]
    assert needle.depth(rows[:-2])["n"].tolist() == [9, 9]
    short = rows[rows["depth"] < 0]
    assert all(len(table) == 0 for name, table in needle.tables(short).items() if name != "grid")
    assert len(needle.grid(short)) == 1
    assert set(pictures(short)) == {"", "logp"}


def pictures(rows):
    return pictured(needle, needle.tables(rows), rows)


def cells(panel):
    """The numbers of a map by depth and length."""
    return {(row["y"], row["x"]): row["fill"] for row in panel.rows}


def test_the_heat_map_has_the_start_on_top_and_its_numbers_in_it():
    rows = frame(models=("m", "n"), hit=lambda n, d, i: d >= 0 and i < (10 if n == 256 else d / 10))
    drawn = pictures(rows)
    main, gain = drawn[""], drawn["gain"]
    assert main.titles() == gain.titles() == ["m", "n"]
    assert main.data.labels == (("256", "1024"), ("absent", "100", "50", "0")), "from below"
    assert gain.data.labels == (("256", "1024"), ("100", "50", "0"))
    low, high = main.panels[0].domain("y")
    assert low < high, "the first label is at the bottom"
    table = needle.grid(rows).query("model == 'm'")
    found = cells(main.panels[0])
    for row in table.itertuples():
        depth = "absent" if row.depth < 0 else str(row.depth)
        assert found[depth, str(row.context_length)] == pytest.approx(100 * row.exact)
    assert (found["0", "1024"], found["50", "1024"], found["absent", "256"]) == (0, 50, 0)
    assert set(cells(gain.panels[0]).values()) == {2}
    for picture, form in ((main, ".0f"), (gain, "+.1f")):
        for panel in picture.panels:
            written = [layer for layer in panel.marks("text") if "encoding" in layer]
            assert len(written) == 1, "each cell has its number"
            said = next(t for t in written[0]["transform"] if t.get("as") == "said")
            assert f"format(datum.fill, '{form}')" in said["calculate"]
    scales = [panel.encoding("color")["scale"] for panel in main.panels]
    assert scales[0] == scales[1]
    assert scales[0]["domain"] == [0, 100]
    assert scales[0]["scheme"] == "viridis", "red and green are one colour to many"


def test_a_length_that_a_model_was_not_asked_stays_empty():
    rows = frame(models=("m", "n")).query("model == 'm' or context_length == 256")
    first, second = pictures(rows)[""].panels
    assert (len(first.rows), len(second.rows)) == (8, 4)
    assert first.domain("x") == second.domain("x")
    assert first.spec["view"]["fill"] == second.spec["view"]["fill"] != "transparent"


def test_a_gain_of_nothing_is_pale():
    drawn = pictures(frame(logp=lambda n, d, i: 0.001 * d - i))["gain"]
    assert drawn.panels[0].encoding("color")["scale"]["domain"] == [-1, 1]
    assert max(abs(gain) for gain in cells(drawn.panels[0]).values()) < 0.11


def test_rows_of_another_probe_are_refused():
    with pytest.raises(KeyError):
        needle.tables(pd.DataFrame({"model": ["m"], "depth": [0]}))


@pytest.mark.slow
def test_an_interrupted_run_has_a_report():
    """Rows cut anywhere in the longest length, before its first baseline too."""
    rows = frame(items=2)
    for count in range(1, len(rows)):
        needle.tables(rows.iloc[:count].copy())
    assert pictures(rows.iloc[: len(rows) // 2 + 3].copy())
