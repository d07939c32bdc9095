"""Quality tables against closed forms; a repetition never wins on the frontier."""

import math

import numpy as np
import pandas as pd
import pytest

from mdlm_probe.analysis import text_quality

PROMPTS = 12
SERIES = ["model", "how"]


def rows(how, nats, entropy, model="m", **more):
    """A row a prompt: nats per token and entropy, each a little other by prompt."""
    return pd.DataFrame(
        {
            "model": model,
            "how": how,
            "task": "t",
            "prompt": [f"p{n}" for n in range(PROMPTS)],
            "nll": [20 * (nats + 0.01 * (n % 3)) for n in range(PROMPTS)],
            "scorer_tokens": 20,
            "entropy_1": [entropy + 0.1 * (n % 2) for n in range(PROMPTS)],
        }
        | more
    )


def frontier(*parts, within=("model",)):
    frame = text_quality.with_quality(pd.concat(parts, ignore_index=True))
    return text_quality.frontier(frame, SERIES, within).set_index("how")


def test_matched_is_the_distance_from_the_best_with_as_much_entropy():
    table = frontier(
        rows("again", 0.5, 1.0), rows("good", 1.5, 3.0), rows("bad", 1.9, 2.5), rows("wild", 3, 4)
    )
    assert table["matched"].tolist() == pytest.approx([0, 0, 0.4, 0])
    assert table.loc["bad", "matched_low"] == pytest.approx(0.4, abs=1e-9) or math.isnan(
        table.loc["bad", "matched_low"]
    )
    assert table.loc["good", "perplexity"] == pytest.approx(math.exp(1.51))
    assert table.loc["good", "entropy_1"] == pytest.approx(3.05)


def test_a_repetition_wins_over_nothing():
    """Whatever its likelihood: others' distances don't know of it."""
    others = rows("good", 1.5, 3.0), rows("bad", 1.9, 2.5), rows("wild", 3.0, 4.0)
    without = frontier(*others)["matched"]
    for nats in (0.01, 0.5, 5.0):
        table = frontier(rows("again", nats, 0.2), *others)
        assert table["matched"].drop("again").tolist() == pytest.approx(without.tolist())
    assert table.loc["again", "matched"] == pytest.approx(3.5), "and may well lose"


def test_the_distance_is_over_the_prompts_of_both():
    short = rows("bad", 1.9, 2.5)[:8]
    table = frontier(rows("good", 1.5, 3.0), short)
    assert table.loc["bad", "n"] == 8
    assert table.loc["bad", "matched"] == pytest.approx(0.4)


def test_lines_are_compared_within_their_model_only():
    table = frontier(rows("bad", 1.9, 2.5), rows("good", 1.5, 3.0, model="other"))
    assert (table["matched"] == 0).all()
    both = frontier(rows("bad", 1.9, 2.5), rows("good", 1.5, 3.0, model="other"), within=())
    assert both.loc["bad", "matched"] == pytest.approx(0.4)


def test_rows_of_an_earlier_version_have_no_quality_and_no_frontier():
    old = rows("good", 1.5, 3.0).drop(columns="entropy_1")
    frame = text_quality.with_quality(old)
    assert len(text_quality.frontier(frame, SERIES, ["model"])) == 0
    table = text_quality.shown(pd.DataFrame([{"how": "good"} | text_quality.quality(frame)]))
    assert list(table.columns) == ["how"]


def test_shares_are_ratios_of_sums():
    counts = {"words": [10, 30] * 6, "valid": [10, 15] * 6, "pairs": [0, 4] * 6, "kept": [0, 3] * 6}
    frame = text_quality.with_quality(
        rows("x", 1.0, 2.0, **counts, truth=[1.0, 0.5] * 6, longest_repeat=[2, 4] * 6)
    )
    line = text_quality.quality(frame)
    assert line["valid_share"] == pytest.approx(25 / 40)
    assert line["kept_share"] == pytest.approx(3 / 4)
    assert line["truth"] == pytest.approx(0.75)
    assert line["truth_low"] < 0.75 < line["truth_high"] <= 1
    assert line["longest_repeat"] == 3
    assert line["judged"] == 12
    assert np.isnan(line["repeated"])
