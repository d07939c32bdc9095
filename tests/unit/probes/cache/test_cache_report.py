"""The cache report: tables from hand-made rows, and a picture that shows them."""

import numpy as np
import pandas as pd
import pytest
from pictured import pictured

from mdlm_probe.analysis import stats
from mdlm_probe.probes.cache import report as cache

PROMPTS = ("a", "b", "c")
GAPS = {"a": (0.1, 0.4), "b": (0.2, 0.5), "c": (0.2, 0.7)}
EDITS = {"a": 0, "b": 5, "c": 2}


def frame(models=("m",), caches=("prefix", "dual"), steps=3):
    """Three prompts: blocks of three masks, 3, 2, 1 of them asked; dual errs twice as much.

    Answers of 20 tokens; c's is of 10 where keys and values are kept.
    """
    answers, passes = [], []
    for model, prompt, kept in ((m, p, c) for m in models for p in PROMPTS for c in caches):
        scale = 2 if kept == "dual" else 1
        at = {"model": model, "prompts": "open", "lexicon": "full", "prompt": prompt}
        at |= {"block": 3, "cache": kept}
        answers.append(
            at
            | {"passes": 9, "passes_exact": 9, "fed": 50 * scale, "fed_exact": 200}
            | {"answer_tokens": 10 if prompt == "c" else 20, "answer_tokens_exact": 20}
            | {"edit_distance": EDITS[prompt] * scale, "differ": 0.1}
        )
        for since in range(steps):
            gap = scale * GAPS[prompt][since - 1] if since else 0.0
            passes.append(
                at
                | {"since": since, "compared_passes": 1, "masks_asked": 3 - since}
                | {"same_top": 0.5 if since == 1 else 1.0, "committed": 1}
                | {"dlogp_mean": gap, "dlogp_max": 2 * gap}
                | {"same_choice": float(since != 2), "same_commit": 0.0 if since else 1.0}
            )
    return {"answers": pd.DataFrame(answers), "steps": pd.DataFrame(passes)}


def test_errors_are_of_passes_that_reuse_something():
    """Of two masks, then one; the first pass doesn't count."""
    table = cache.error(**frame()).set_index("cache")
    assert list(table.index) == ["prefix", "dual"]
    row = table.loc["prefix"]
    means = np.array([(2 * near + far) / 3 for near, far in GAPS.values()])
    expected = stats.amount(means)
    assert row["dlogp"] == pytest.approx(means.mean())
    assert (row["dlogp_low"], row["dlogp_high"]) == pytest.approx((expected.low, expected.high))
    assert table.loc["dual", "dlogp"] == pytest.approx(2 * means.mean())
    assert row["dlogp_max"] == pytest.approx(1.4)
    assert row["same_top"] == pytest.approx(2 / 3)
    assert (row["same_choice"], row["same_commit"]) == (0.5, 0.0)


def test_texts_are_compared_with_the_longer_one():
    row = cache.error(**frame()).set_index("cache").loc["prefix"]
    shares = np.array([0, 5 / 20, 2 / 20])
    expected = stats.amount(shares)
    assert row["edits"] == pytest.approx(shares.mean())
    assert row["edits_low"] == 0
    assert row["edits_high"] == pytest.approx(expected.high)
    equal = stats.proportion(np.array([1, 0, 0]))
    assert (row["equal"], row["equal_low"]) == pytest.approx((equal.mean, equal.low))
    assert row["saving"] == pytest.approx(0.75)
    assert row["n"] == 3


def test_empty_answers_are_equal():
    texts = pd.DataFrame(
        {"edit_distance": [0, 4], "answer_tokens": [0, 4], "answer_tokens_exact": [0, 0]}
    )
    assert cache.edits(texts).tolist() == [0, 1]


def test_since_has_a_row_a_step():
    table = cache.since(frame()["steps"]).query("cache == 'dual'").set_index("since")
    assert list(table.index) == [0, 1, 2]
    assert table["dlogp"].tolist() == pytest.approx([0, 1 / 3, 16 / 15])
    expected = stats.amount(np.array([0.8, 1.0, 1.4]))
    assert table.loc[2, "dlogp_low"] == pytest.approx(expected.low)
    assert table.loc[2, "dlogp_high"] == pytest.approx(expected.high)
    assert table["same_choice"].tolist() == [1, 1, 0]
    assert table["n"].tolist() == [3, 3, 3]


def test_prompts_that_end_early_are_left_out_where_they_are_no_more():
    rows = frame()
    steps = rows["steps"]
    cut = steps.drop(steps[(steps["prompt"] == "c") & (steps["since"] == 2)].index)
    table = cache.since(cut).query("cache == 'prefix'").set_index("since")
    assert table["n"].tolist() == [3, 3, 2]
    assert table.loc[2, "dlogp"] == pytest.approx(0.45)
    means = [(2 * 0.1 + 0.4) / 3, (2 * 0.2 + 0.5) / 3, 0.2]
    assert cache.error(rows["answers"], cut)["dlogp"].iloc[0] == pytest.approx(np.mean(means))


def test_blocks_of_one_step_have_no_error_to_speak_of():
    found = cache.tables(frame(steps=1))
    assert found["error"][["same_top", "dlogp", "dlogp_max", "same_choice"]].isna().all(axis=None)
    assert found["error"]["saving"].notna().all()
    assert found["since"]["since"].tolist() == [0, 0]
    assert set(pictured(cache, found, frame(steps=1))) == {"", "saving"}


def test_rows_of_another_probe_are_refused():
    with pytest.raises(KeyError):
        cache.tables(frame() | {"answers": frame()["answers"].drop(columns="fed")})
    with pytest.raises(ValueError, match="parse"):
        cache.tables(frame() | {"steps": frame()["steps"].assign(dlogp_mean="much")})


def test_the_charts_show_the_tables_numbers():
    rows = frame(models=("m", "n"))
    tables = cache.tables(rows)
    drawn = pictured(cache, tables, rows)
    assert set(drawn) == {"", "saving"}
    assert drawn[""].titles() == drawn["saving"].titles() == ["m", "n"]
    errors, texts = drawn[""].panels[0], drawn["saving"].panels[0]
    assert drawn[""].legend == ["prefix, blocks of 3", "dual, blocks of 3"]
    dual = {"way": "dual, blocks of 3"}
    assert errors.line(**dual) == pytest.approx([0, 1 / 3, 16 / 15], rel=1e-5)
    since = tables["since"].query("model == 'm' and cache == 'dual'")
    for end in ("low", "high"):
        expected = pytest.approx(list(since[f"dlogp_{end}"]), rel=1e-5, nan_ok=True)
        assert errors.line(end, **dual) == expected
    points = [(row["x"], row["y"]) for row in texts.rows]
    assert points == [pytest.approx((75, 35 / 3), rel=1e-5), pytest.approx((50, 70 / 3), rel=1e-5)]
    assert "nats" in errors.axis_title("y")
    assert "%" in texts.axis_title("y")
    assert "n = 3 prompts" in drawn[""].caption
