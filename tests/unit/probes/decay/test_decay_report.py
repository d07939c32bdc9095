"""The decay report: tables from rows alone, and figures that show them."""

from zlib import crc32

import numpy as np
import pandas as pd
import pytest
from pictured import outside, pictured

from mdlm_probe.analysis import stats
from mdlm_probe.probes.decay import charts, half_distance, zipf_fit
from mdlm_probe.probes.decay import report as decay

UNITS = ("top1_prob", "entropy", "frequent_mass", "prompt_mass", "end_mass")


def rows_of(model, task, prompt, masks, top, js, context="left", grid=(1, 2, 4, 8, 16)):
    """Rows of one prompt; `top` is a function of distance, `js` of two places."""
    fixed = {"model": model, "prompts": "decay", "lexicon": "full", "task": task, "lag": 1}
    fixed |= {"prompt": f"{task}-{prompt}", "context": context, "masks": masks}
    grid = [d for d in grid if d < masks]
    places = [
        {"unit": "place", "place": p, "distance": d, "top1_prob": top(d), "entropy": 1 / top(d)}
        | {"frequent_mass": 0.5, "prompt_mass": 0.1 * prompt, "end_mass": 0.01 * d / masks}
        | {"bound": 0.7**d + 0.05, "greedy": 0.69**d, "top": "the" if prompt else f"t{d}"}
        for p in range(1, masks + 1)
        for d in [p if context == "left" else min(p, masks + 1 - p)]
    ]
    pairs = {(a, b) for a in grid for b in grid if a < b} | {(a, a + 1) for a in grid}
    found = places + [
        {"unit": "pair", "place": a, "distance": a, "other_place": b, "js": js(a, b), "tv": 0.5}
        for a, b in sorted(pairs)
    ]
    found.append(
        {"unit": "far", "js": 0.1 + 0.01 * prompt, "tv": 0.3, "top1_prob": 0.2}
        | {"js_halves": 0.04}
    )
    for token, share in (("the", 0.2), (f"own{prompt}", 0.1)):
        found.append(
            {"unit": "token", "top_id": crc32(token.encode()), "top": token}
            | {"share": share, "unigram": 0.05}
        )
    return [fixed | row for row in found]


def frame(models=("m",), tasks=("prose",), prompts=5, masks=20, top=None, js=None, **more):
    top = top or (lambda d, n: 0.1 + 0.8 * 0.5 ** (d - 1) + 0.01 * n)
    js = js or (lambda a, b: 0.5 / a**2)
    found = [
        row
        for model in models
        for task in tasks
        for n in range(prompts)
        for row in rows_of(model, task, n, masks, lambda d, n=n: top(d, n), js, **more)
    ]
    columns = [
        "top1_se",
        "top1_naive",
        "top_id",
        "other_place",
        "longer_masks",
        "js",
        "tv",
        "js_halves",
        *UNITS,
    ]
    table = pd.DataFrame(found)
    return table.reindex(columns=list(dict.fromkeys([*table.columns, *columns])))


def test_the_curve_has_students_interval_over_prompts():
    table = made("curve", frame()).set_index("distance")
    values = 0.5 + 0.01 * np.arange(5)
    expected = stats.mean(values)
    assert table.loc[2, ["top1_prob", "top1_prob_low", "top1_prob_high"]].tolist() == (
        pytest.approx([expected.mean, expected.low, expected.high])
    )
    assert table.loc[2, "n"] == 5
    assert table.loc[3, "bound"] == pytest.approx(0.7**3 + 0.05)
    assert (table.loc[3, "common"], table.loc[3, "common_share"]) == ("the", 0.8)
    assert "top1_prob_se" not in table


def test_sides_of_a_span_that_are_equally_far_count_once():
    table = made("curve", frame(context="both", masks=9)).set_index("distance")
    assert table.index.tolist() == [1, 2, 3, 4, 5]
    assert table["n"].tolist() == [5] * 5


def test_sampling_errors_are_those_of_a_mean():
    rows = frame().query("unit == 'place'").assign(top1_se=0.05)
    table = made("curve", rows)
    assert table["top1_prob_se"].tolist() == pytest.approx([0.05 / np.sqrt(5)] * 20)
    assert set(made("tables", rows)) == {"curve", "half", "predictability"}
    assert set(pictures(rows)) == {"", "mass"}


def test_the_half_distance_is_halfway_to_the_far_end():
    (row,) = made("half", frame()).to_dict("records")
    far = np.mean([0.12 + 0.8 * 0.5 ** (d - 1) for d in range(6, 16)])
    assert row["first"] == pytest.approx(0.92)
    assert row["far"] == pytest.approx(far)
    # the middle is a hair above the value at 2, on a line from .92 to .52
    assert row["half"] == pytest.approx(2 - ((0.92 + far) / 2 - 0.52) / 0.4)
    assert row["half_low"] <= row["half"] <= row["half_high"] or np.isnan(row["half_low"])
    assert row["halved"] == pytest.approx(2 + (0.52 - 0.46) / 0.2)
    assert row["settled"] == 2


def test_the_end_of_the_canvas_is_in_no_table_but_its_own():
    """Twenty masks, of which the last five predict otherwise: neither far end nor half-distance."""
    rows = frame(top=lambda d, n: (0.1 + 0.8 * 0.5 ** (d - 1) + 0.01 * n) + 0.6 * (d > 15))
    pd.testing.assert_frame_equal(made("half", rows), made("half", frame()))
    jumps = made("neighbours", frame(js=lambda a, b: 0.5 if a > 15 else 0.05 / a))
    (row,) = decay.homogenisation(jumps).to_dict("records")
    assert (row["below_0.1"], row["below_0.01"]) == (1, 8)
    assert row["last"] == 0.05 / 8
    both = frame(context="both", masks=9, top=lambda d, n: 1 / d)
    assert made("half", both)["far"].item() == pytest.approx(np.mean([1 / 3, 1 / 4, 1 / 5]))


KINDS = {"place": "places", "pair": "pairs", "far": "far", "token": "tokens"}
KINDS |= {"prompts": "prompts", "edge": "edge", "zipf": "next-tokens"}
MADE_OF = {"curve": "places", "half": "places", "neighbours": "pairs", "matrix": "pairs"}
MADE_OF |= {"prompts": "prompts", "zipf": "next-tokens"}


def by_kind(rows):
    """The rows by kind of observation."""
    found = {kind: rows[rows["unit"] == unit] for unit, kind in KINDS.items()}
    names = {"top_id": "token_id", "top": "token_text"}
    return found | {"tokens": found["tokens"].rename(columns=names)}


def made(name, rows):
    """What the report makes of rows, or of those of one kind."""
    own = by_kind(rows)
    return getattr(decay, name)(own[MADE_OF[name]] if name in MADE_OF else own)


def compared(unit, values, **fixed):
    """Rows of four prompts; `values(n)` are the divergences at each of `fixed`'s places."""
    shared = {"model": "m", "prompts": "decay", "lexicon": "full", "task": "prose", "lag": 1}
    shared |= {"context": "left", "masks": 20, "unit": unit, "exponent": 2.31}
    found = [
        shared | {"prompt": f"prose-{n}", "distance": d, "place": d, "js": js, "tv": js / 2} | fixed
        for n in range(4)
        for d, js in values(n).items()
    ]
    return pd.concat([frame(prompts=4), pd.DataFrame(found)], ignore_index=True)


def tasks_apart(falls):
    """Rows of tasks whose largest probability falls by a factor of its own with every token."""
    found = [
        frame(tasks=(f"task{n}",), prompts=4, top=lambda d, _, f=fall: 0.1 + 0.8 * f ** (d - 1))
        for n, fall in enumerate(falls)
    ]
    return pd.concat(found, ignore_index=True)


@pytest.mark.slow
def test_half_distances_stand_beside_the_entropy_of_the_first_mask():
    rows = tasks_apart((0.3, 0.5, 0.7, 0.8))
    places = rows["unit"] == "place"
    first = places & (rows["distance"] == 1)
    # task n has an entropy of n + 1 nats next to the text, give or take a prompt's own
    own = rows["task"].str[-1].astype(float) + 1 + 0.1 * rows["prompt"].str[-1].astype(float)
    rows.loc[first, "entropy"] = own[first]
    found = made("tables", rows)
    table, halves = found["predictability"], found["half"]
    pd.testing.assert_series_equal(table["half"], halves["half"])
    expected = [stats.mean(n + 1 + 0.1 * np.arange(4)) for n in range(4)]
    assert table["next_entropy"].tolist() == pytest.approx([one.mean for one in expected])
    assert table["next_entropy_low"].tolist() == pytest.approx([one.low for one in expected])
    (row,) = found["over_tasks"].to_dict("records")
    r = np.corrcoef(table["next_entropy"], table["half"])[0, 1]
    assert row["correlation"] == pytest.approx(r)
    assert r > 0.9
    assert row["correlation_low"] == pytest.approx(np.tanh(np.arctanh(r) - 1.959964))
    assert row["tasks"] == 4
    # the same half-distances, and entropies that fall where these rise
    rows.loc[first, "entropy"] = 6 - own[first]
    assert made("tables", rows)["over_tasks"]["correlation"].item() == pytest.approx(-r)
    picture = pictures(rows)["predictability"]
    assert outside(picture) == []
    (panel,) = picture.panels
    assert panel.line("x") == pytest.approx(sorted(table["half"]), rel=1e-5)
    assert panel.line("y")[0] == "task0, 4.85 nats"
    assert "n = 4 prompts" in picture.caption


@pytest.mark.slow
def test_three_tasks_have_no_correlation_and_no_picture():
    rows = tasks_apart((0.3, 0.5, 0.7))
    assert "over_tasks" not in made("tables", rows)
    assert "predictability" not in pictures(rows)


def test_prompts_are_compared_at_equal_distance():
    table = made("prompts", compared("prompts", lambda n: {1: 0.4 + n / 10, 10: 0.01 * n}))
    expected = stats.mean(0.4 + np.arange(4) / 10)
    assert table["distance"].tolist() == [1, 10]
    assert table["n"].tolist() == [4, 4]
    assert table["js"].tolist() == pytest.approx([0.55, 0.015])
    assert table["tv"].tolist() == pytest.approx([0.275, 0.0075])
    assert (table["js_low"][0], table["js_high"][0]) == pytest.approx(
        (expected.low, min(expected.high, np.log(2)))
    )


def test_the_end_of_the_canvas_has_a_table():
    rows = compared("edge", lambda n: {17: 0.001 * n, 20: 0.05 + n / 100}, longer_masks=27)
    table = made("tables", rows)["edge"]
    assert table["from_end"].tolist() == [4, 1]
    assert table["longer_masks"].tolist() == [27, 27]
    assert table["js"].tolist() == pytest.approx([0.0015, 0.065])
    assert made("notes", rows) == []
    cut = rows[~((rows["unit"] == "edge") & (rows["prompt"] == "prose-2"))]
    assert "isn't known of 1 of 4 prompts" in made("notes", cut)[0]
    assert "isn't known of 5 of 5 prompts" in made("notes", frame())[0], "an older run"
    assert made("notes", frame(context="both", masks=9)) == []


def test_one_law_is_fitted_to_all_prompts():
    """Two halves of the prompts follow two laws; the law of their mean rank is the likeliest."""
    ranks = np.arange(1, 51)
    laws = [ranks**-s / (ranks**-s).sum() for s in (1.5, 2.0, 2.5, 3.0)]
    found = [zipf_fit.ranked(law) for law in laws]
    rows = compared("zipf", lambda n: {1: 0.0})
    at = rows["unit"] == "zipf"
    for name in ("log_rank", "entropy", "support"):
        rows.loc[at, name] = [getattr(one, name) for one in found]
    (row,) = made("zipf", rows).to_dict("records")
    grid = np.arange(1.5, 3, 0.001)
    likely = [sum(law @ np.log(ranks**-s / (ranks**-s).sum()) for law in laws) for s in grid]
    assert row["fitted"] == pytest.approx(grid[np.argmax(likely)], abs=2e-3)
    assert 1.0 < row["fitted_low"] < row["fitted"] < row["fitted_high"]
    own = sum(law @ np.log(law) for law in laws)
    assert row["misfit"] == pytest.approx((own - max(likely)) / 4, abs=1e-5)
    assert (row["assumed"], row["n"]) == (2.31, 4)
    same = rows.assign(log_rank=rows["log_rank"].where(~at, found[1].log_rank))
    assert made("zipf", same)["fitted"].item() == pytest.approx(2.0, abs=1e-6)


def test_the_half_distance_has_a_bootstrap_interval():
    rng = np.random.default_rng(0)
    rates = rng.uniform(0.5, 0.9, 30)
    (row,) = made("half", frame(prompts=30, top=lambda d, n: rates[n] ** d)).to_dict("records")
    assert row["half_low"] < row["half"] < row["half_high"]
    assert row["half_high"] - row["half_low"] < 2


def test_a_curve_that_does_not_fall_has_no_half_distance():
    (row,) = made("half", frame(top=lambda d, n: 0.1 + 0.01 * d)).to_dict("records")
    assert np.isnan([row["half"], row["half_low"], row["settled"], row["halved"]]).all()


def test_a_curve_that_swings_settles_late():
    swinging = frame(top=lambda d, n: 0.1 + 0.8 * (d % 2) * (d < 12))
    (row,) = made("half", swinging).to_dict("records")
    assert row["half"] < 2
    assert row["settled"] == 12


@pytest.mark.parametrize("shape", [(), (7,)])
def test_halfway_takes_curves_of_any_shape(shape):
    means = np.broadcast_to(np.array([1.0, 0.5, 0.0, 0.0, 0.0]), (*shape, 5))
    found = half_distance.halfway(means, np.arange(1.0, 6.0), np.arange(5) > 2)
    assert found.shape == shape
    assert (found == 2.0).all()


def test_neighbours_are_alike_from_the_last_time_on():
    rows = frame(masks=22, js=lambda a, b: {1: 0.5, 2: 0.005, 4: 0.05, 8: 0.005, 16: 0.0005}[a])
    (row,) = decay.homogenisation(made("neighbours", rows)).to_dict("records")
    assert (row["below_0.1"], row["below_0.01"], row["below_0.001"]) == (2, 8, 16)
    assert row["last"] == 0.0005
    assert row["n"] == 5
    near = made("neighbours", frame(js=lambda a, b: 0.2))
    (row,) = decay.homogenisation(near).to_dict("records")
    assert np.isnan(row["below_0.1"])


def test_the_matrix_is_a_mean_over_prompts():
    table = made("matrix", frame()).set_index(["place", "other_place"])
    assert table.loc[(2, 8), "js"] == pytest.approx(0.125)
    assert len(table) == 10 + 5 - 1  # pairs of five, and neighbours, one of which is a pair


def test_the_limit_names_tokens_by_their_mean_share():
    tables = made("tables", frame())
    (row,) = tables["limit"].to_dict("records")
    expected = stats.mean(0.1 + 0.01 * np.arange(5))
    found = [row["js"], row["js_low"], row["js_high"]]
    assert found == pytest.approx([expected.mean, expected.low, expected.high])
    assert row["top_tokens"].startswith("'the' 20.0%, 'own")
    tokens = tables["tokens"].set_index("token")
    assert tokens.loc["the", ["share", "unigram", "prompts_with"]].tolist() == (
        pytest.approx([0.2, 0.05, 5])
    )
    assert tokens.loc["own3", "share"] == pytest.approx(0.02)


def test_an_unfinished_run_of_one_prompt_has_no_intervals():
    tables = made("tables", frame(prompts=1))
    assert tables["curve"]["top1_prob_low"].isna().all()
    assert np.isnan(tables["half"].loc[0, "half_low"])
    assert pictures(frame(prompts=1))


@pytest.mark.parametrize(("masks", "context"), [(1, "left"), (2, "both")])
def test_a_single_distance_has_a_curve_and_no_half(masks, context):
    rows = frame(masks=masks, context=context)
    assert {"curve", "limit", "tokens"} <= set(made("tables", rows))
    assert "half" not in made("tables", rows)
    assert {"", "mass"} <= set(pictures(rows))


def pictures(rows):
    return pictured(charts, made("tables", rows), by_kind(rows))


@pytest.mark.slow
def test_charts_have_a_panel_for_each_task_and_a_line_for_each_model():
    rows = frame(models=("m", "n"), tasks=("prose", "code"))
    tables = made("tables", rows)
    drawn = pictures(rows)
    assert set(drawn) == {"", "mass", "homogenisation", "neighbours"}
    main = drawn[""]
    assert main.titles() == ["prose", "code"]
    assert main.legend[:3] == ["m", "n", "our bound (%)"]
    curve = tables["curve"].query("model == 'm' and task == 'code'")
    for panel in main.panels:
        assert panel.line(model="m")[1] == pytest.approx(52)
        assert panel.line("beside_0", model="m")[0] == pytest.approx(75)
        assert panel.colours()["m"] != panel.colours()["n"]
        for end in ("low", "high"):
            expected = pytest.approx(list(100 * curve[f"top1_prob_{end}"]), rel=1e-5)
            assert panel.line(end, model="m") == expected
    half = tables["half"].query("task == 'prose'").set_index("model")
    dots = {row["model"]: row for row in main.panels[0].layer()}
    for model, row in dots.items():
        assert row["x"] == pytest.approx(half.loc[model, "half"], rel=1e-5)
        middle = 50 * (half.loc[model, "first"] + half.loc[model, "far"])
        assert row["y"] == pytest.approx(middle, rel=1e-5)
    many = frame(prompts=30, masks=8, top=lambda d, n: 0.9 * (0.5 + 0.01 * n) ** (d - 1))
    (dot,) = pictures(many)[""].panels[0].layer()
    (own,) = made("half", many).to_dict("records")
    assert dot["x_low"] == pytest.approx(own["half_low"], rel=1e-5)
    assert dot["x_high"] == pytest.approx(min(own["half_high"], 8), rel=1e-5)
    maps = drawn["homogenisation"]
    assert maps.titles() == ["m, prose", "m, code", "n, prose", "n, code"]
    assert maps.data.labels == (("1", "2", "4", "8", "16"),) * 2
    cells = {(row["x"], row["y"]): row["fill"] for row in maps.panels[0].rows}
    assert len(cells) == 25
    assert cells["2", "8"] == cells["8", "2"] == pytest.approx(0.125)
    assert cells["4", "4"] == charts.LEAST, "a mask is as it is itself"
    assert len(drawn["mass"].panels) == 6


def test_a_logarithmic_axis_gets_no_zero():
    """An interval that begins at 0 ends at the axis; a divergence of 0 stands on it."""
    rows = frame(js=lambda a, b: 0.0 if a > 4 else 0.5 / a**2)
    rows.loc[(rows["unit"] == "pair") & (rows["prompt"] == "prose-0"), "js"] = 0.0
    drawn = pictures(rows)["neighbours"]
    (panel,) = drawn.panels
    assert min(panel.line("y")) == min(panel.line("low")) == 0
    low = panel.domain("y")[0]
    assert 0 < low < 0.001, "the thresholds are seen"
    assert outside(drawn) == []
    for kind in ("line", "area", "point"):
        for layer in panel.marks(kind):
            field = layer["encoding"]["y"]["field"]
            (moved,) = (t for t in layer["transform"] if t.get("as") == field)
            assert f"max(datum.{field.removesuffix('_at')}, {low!r})" in moved["calculate"]


def test_rows_of_another_probe_are_refused():
    with pytest.raises(KeyError):
        decay.tables(by_kind(frame()) | {"places": pd.DataFrame({"model": ["m"]})})


def test_neighbours_across_the_middle_are_not_neighbours_in_distance():
    """Between two texts the masks at 5 and 6 of ten are both five away."""
    rows = frame(context="both", masks=10, grid=(1, 4, 5, 9), js=lambda a, b: 0.1 * a)
    near = made("neighbours", rows).set_index("distance")
    assert 5 not in near.index
    assert near.loc[1, "js"] == pytest.approx(0.1)


def test_a_half_distance_that_some_samples_of_prompts_lack_is_open():
    """Two prompts fall and one rises as much: many samples of them never halve."""
    rows = frame(prompts=3, top=lambda d, n: 0.5 + (0.02 if n == 2 else -0.02) * (d - 1))
    (row,) = made("half", rows).to_dict("records")
    assert 1 < row["half"] < 20
    assert row["half_high"] == np.inf
    assert (
        half_distance.halfway(np.array([0.2, 0.3, 0.4, 0.5]), np.arange(1.0, 5), np.arange(4) > 2)
        != 1
    )
    falling = frame(prompts=30, top=lambda d, n: 0.9 * (0.5 + 0.002 * n) ** (d - 1))
    (row,) = made("half", falling).to_dict("records")
    assert row["halved_low"] < row["halved"] < row["halved_high"] < 3
