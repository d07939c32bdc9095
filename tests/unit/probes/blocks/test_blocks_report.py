"""The blocks report: tables from hand-made rows, and pictures that show them."""

import math

import numpy as np
import pandas as pd
import pytest
from pictured import pictured
from tables_once import remembering

from mdlm_probe.analysis import stats
from mdlm_probe.probes.blocks import charts
from mdlm_probe.probes.blocks import report as blocks
from mdlm_probe.probes.blocks.equivalent import SERIES, EquivalentCells

LEFT, LOW = "left_to_right", "low_confidence"
PROMPTS = 6
GRID = ((1, 8, LEFT), (2, 4, LEFT), (2, 8, LOW), (4, 8, LOW), (8, 8, LOW), (4, 4, LOW), (8, 4, LOW))
tables_of = remembering(blocks.tables)


def nats(block, steps, order, item):
    """One nat by token from left to right; more in other orders, large blocks and fewer steps."""
    return (1.0 if order == LEFT else 1.1 + 0.1 * math.log2(block)) + 0.2 * (steps < 8) + item / 50


def rows(grid=GRID, lengths=(8,), models=("m",), **fixed):
    found = []
    for model in models:
        for length in lengths:
            for block, steps, order in grid:
                block, steps = block * length // 8 if block == 8 else block, steps * length // 8
                for item in range(PROMPTS):
                    tokens = length - item % 2
                    made = [1 + i * steps // length for i in range(length)]
                    found.append(
                        {"model": model, "task": "t", "prompt": f"p{item}", "length": length}
                        | {"block": block, "steps": steps, "order": order, "answer": "a"}
                        | {"nll": tokens * nats(block, steps, order, item)}
                        | {"scorer_tokens": tokens, "answer_tokens": tokens, "ended": item % 2}
                        | {"correct": float(item < 3) if item < 4 else np.nan}
                        | {"repeated": 0.5, "distinct_1": 0.4, "distinct_2": 0.6}
                        | {"confidence": 0.3, "passes": steps, "decided": steps}
                        | {"canvas_tokens": steps * (length + 3), "per_step": length / steps}
                        | {"tau": 1.0 if order == LEFT else 0.1 * item, "answer_tau": 0.5}
                        | {"end_first": 0.25, "tail_eos_first": np.nan}
                        | {"unmasked": " ".join(map(str, made))}
                        | fixed
                    )
    return pd.DataFrame(found)


def test_quality_is_a_ratio_of_sums_with_intervals():
    table = blocks.quality(rows()).set_index(["block", "steps", "order"])
    row, own = table.loc[4, 8, LOW], rows().query("block == 4 and steps == 8")
    assert row["perplexity"] == pytest.approx(np.exp(own["nll"].sum() / own["scorer_tokens"].sum()))
    assert row["perplexity_low"] < row["perplexity"] < row["perplexity_high"]
    hits = stats.proportion(np.array([1, 1, 1, 0]))
    assert (row["correct"], row["with_answer"]) == (0.75, 4)
    assert (row["correct_low"], row["correct_high"]) == (hits.low, hits.high)
    assert row["ended"] == 0.5
    assert row["passes_a_token"] == pytest.approx(8 / 7.5)
    assert row["tokens_a_pass"] == pytest.approx(7.5 / 8)
    assert row["tau"] == pytest.approx(0.25)
    assert np.isnan(row["tail_eos_first"])


def test_the_front_is_what_brute_force_leaves():
    generator = np.random.default_rng(0)
    for _ in range(50):
        costs = generator.integers(1, 6, (12, 2)).astype(float)
        part = pd.DataFrame(costs, columns=["passes_a_token", "perplexity"])
        beaten = [
            any((other <= one).all() and (other < one).any() for other in costs) for one in costs
        ]
        expected = {tuple(one) for one, lost in zip(costs, beaten, strict=True) if not lost}
        kept = blocks.undominated(part)
        assert {tuple(one) for one in kept.to_numpy()} == expected
        assert len(kept) == len(expected)


@pytest.mark.slow
def test_what_has_less_entropy_beats_nothing():
    """The front in three: brute force again, and a repetition that is cheap and likely."""
    generator = np.random.default_rng(1)
    for _ in range(50):
        costs = generator.integers(1, 5, (12, 3)).astype(float)
        part = pd.DataFrame(costs, columns=["passes_a_token", "perplexity", "entropy_1"])
        signed = costs * [1, 1, -1]
        beaten = [
            any((other <= one).all() and (other < one).any() for other in signed) for one in signed
        ]
        expected = {tuple(one) for one, lost in zip(costs, beaten, strict=True) if not lost}
        kept = blocks.undominated(part)
        assert {tuple(one) for one in kept.to_numpy()} == expected
        assert len(kept) == len(expected)
    frame = judged()
    before = tables_of(frame)["front"]
    again = (frame["steps"] == 4) & (frame["block"] == 8)
    frame.loc[again, ["nll", "entropy_1", "truth"]] = (0.1, 0.3, 0.6)
    after = tables_of(frame)["front"].set_index(["block", "steps", "order"])
    assert (8, 4, LOW) in after.index
    for line in before.to_dict("records"):
        at = line["block"], line["steps"], line["order"]
        assert after.loc[at, "nll_excess"] == pytest.approx(line["nll_excess"])


def judged(**more):
    """Rows with a truth and entropies, as of the small language: blocks of 8 lose a tenth of it."""
    frame = rows(**more)
    large = frame["block"] == frame["length"]
    return frame.assign(
        words=10,
        valid=10 - large,
        valid_new=10 - large,
        pairs=2,
        kept=2 - large,
        kept_new=2 - large,
        truth=1 - 0.1 * large - 0.01 * frame["prompt"].str[1:].astype(int),
        longest_repeat=3 + large,
        entropy_1=2.0 + 0.1 * frame["prompt"].str[1:].astype(int),
        entropy_2=2.5,
    )


@pytest.mark.slow
def test_quality_has_what_no_repetition_wins():
    found = tables_of(judged())
    table = found["quality"].set_index(["block", "steps", "order"])
    large, small = table.loc[8, 8, LOW], table.loc[4, 8, LOW]
    assert (large["valid_share"], large["kept_share"], small["valid_share"]) == pytest.approx(
        (0.9, 0.5, 1)
    )
    assert small["truth"] - large["truth"] == pytest.approx(0.1)
    assert (large["longest_repeat"], small["longest_repeat"]) == (4, 3)
    assert small["entropy_1"] == pytest.approx(2.25)
    assert {"truth", "valid_share", "kept_share", "longest_repeat", "entropy_1"} <= set(
        found["overview"]
    )
    frontier = found["frontier"].set_index(["block", "steps", "order"])
    assert frontier.loc[(1, 8, LEFT), "matched"] == 0
    assert frontier.loc[(8, 4, LOW), "matched"] == pytest.approx(0.6)
    drawn = pictures(judged(lengths=(8, 16)))
    assert set(drawn) == {"", "frontier", "blocks", "order", "lengths"}
    titles = [panel.axis_title("y") for panel in drawn[""].panels[:4]]
    assert "truth" in titles[0]
    assert "truth" in drawn["blocks"].panels[0].axis_title("y")


def test_losses_on_the_front_are_paired_by_prompt():
    frame = rows()
    table = blocks.front(frame, blocks.quality(frame))
    assert table[["block", "steps", "order"]].to_numpy().tolist() == [[2, 4, LEFT], [1, 8, LEFT]]
    cheap, best = table.iloc[0], table.iloc[1]
    # prompts differ from one another, their losses don't: a paired interval has no width
    assert cheap["nll_excess"] == pytest.approx(0.2)
    assert not cheap["nll_excess_high"] - cheap["nll_excess_low"] > 1e-9
    assert best["nll_excess"] == 0
    noisy = frame.copy()
    chosen = noisy["steps"] == 4
    noisy.loc[chosen, "nll"] += noisy.loc[chosen, "prompt"].str[1:].astype(int) - 2
    line = blocks.front(noisy, blocks.quality(noisy)).iloc[0]
    assert line["nll_excess_low"] < line["nll_excess"] < line["nll_excess_high"]


def test_orders_stand_beside_left_to_right_where_there_is_a_choice():
    pooled = blocks.orders(rows(), []).set_index("order")
    assert pooled.index.tolist() == [LEFT, LOW]
    assert pooled.loc[LEFT, ["nll_excess", "tau"]].tolist() == [0, 1]
    # the five combinations in low_confidence are 0.2, 0.3, 0.4, 0.3, 0.4 nats above left to right
    assert pooled.loc[LOW, "nll_excess"] == pytest.approx(0.32)
    assert pooled.loc[LOW, "tau"] == pytest.approx(0.25)
    each = blocks.orders(rows(), ["steps", "block"]).set_index(["steps", "block", "order"])
    assert each.loc[(4, 8, LOW), "nll_excess"] == pytest.approx(0.4)
    assert each.loc[(8, 2, LOW), "nll_excess"] == pytest.approx(0.2)
    assert (8, 1, LOW) not in each.index
    without = rows([at for at in GRID if at[2] == LOW and at[0] * at[1] > 8])
    assert len(blocks.orders(without, [])) == 0


def test_what_stands_for_what():
    stands = EquivalentCells(rows()[SERIES])
    assert stands.of("m", 8, 4, 8, LOW) == ("m", 8, 4, 8, LOW)
    assert stands.of("m", 8, 8, 8, LEFT) == ("m", 8, 1, 8, LEFT)
    assert stands.of("m", 8, 2, 4, LOW) == ("m", 8, 2, 4, LEFT)
    assert stands.of("m", 8, 1, 8, "random") == ("m", 8, 1, 8, LEFT)
    assert stands.of("m", 8, 4, 8, "random") == ()
    assert stands.of("m", 8, 1, 4, LEFT) == ()
    assert stands.of("m", 8, 16, 8, LEFT) == ()


@pytest.mark.slow
def test_lengths_are_compared_at_the_same_rate():
    assert "lengths" not in tables_of(rows())
    table = tables_of(rows(lengths=(8, 16)))["lengths"]
    assert set(table["a_step"]) == {1.0}
    assert set(table["blocks"]) == {"4", "whole"}
    own = table[(table["order"] == LOW) & (table["blocks"] == "4")]
    assert own["length"].tolist() == [8, 16]
    quality = blocks.quality(rows(lengths=(8, 16))).query("block == 4 and order == @LOW")
    expected = quality.query("steps == length")["perplexity"].tolist()
    assert own["perplexity"].tolist() == expected


@pytest.mark.slow
def test_nothing_is_lost_without_a_scorer_or_answers():
    bare = rows(nll=np.nan, scorer_tokens=np.nan, correct=np.nan)
    found = tables_of(bare)
    assert set(found) == {"overview", "quality", "orders", "blocks"}
    assert "perplexity" not in found["overview"]
    drawn = pictured(charts, found, bare)
    assert [p.axis_title("y") for p in drawn[""].panels] == ["repeated 4-grams (%)"]
    empty = rows(nll=0.0, scorer_tokens=0, answer_tokens=0)
    assert blocks.quality(empty)["perplexity"].isna().all()
    assert pictures(empty)


def test_one_combination_is_enough():
    frame = rows(((1, 8, LEFT),))
    assert set(pictures(frame)) == {"", "order"}
    alone = rows().query("prompt == 'p0'")
    assert tables_of(alone)["quality"]["perplexity_low"].isna().all()
    assert pictures(alone)


def test_rows_of_something_else_are_refused():
    with pytest.raises(KeyError):
        tables_of(pd.DataFrame({"model": ["m"], "length": [8]}))


@pytest.mark.slow
def test_printed_tables_are_there():
    frame, steps = judged(lengths=(8, 16)), ("steps_made", "first_predicted", "predicted_step")
    early = set(tables_of(frame))
    assert set(blocks.PRINTED) - early == {"answers"}, "runs of versions that didn't watch steps"
    watched = frame.assign(**dict.fromkeys((*steps, "written_step"), 8))
    assert set(blocks.PRINTED) <= set(tables_of(watched))


# ---------------------------------------------------------------------- charts


def pictures(frame):
    return pictured(charts, tables_of(frame), frame)


def test_a_heat_maps_columns_are_shares():
    found = charts.shares(pd.Series(["1 2 3 4", "1 2 4 3", "2 1 0 0"]), 4)
    assert found[:, 0].tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert found[:, 2].tolist() == [0, 0, 0.5, 0.5]
    binned = charts.shares(pd.Series(["1 2 3 4"]), 4, bins=2)
    assert binned.tolist() == [[1, 0], [0, 1]]
    none = charts.shares(pd.Series(["0 0"]), 2)
    assert not none.any()


@pytest.mark.slow
def test_masks_that_fill_a_last_block_are_not_drawn():
    asked = charts.shares(pd.Series(["1 2 4 3", "2 1 3 4"]), 4)
    filled = charts.shares(pd.Series(["1 2 4 3 5", "2 1 3 6 4 5 7"]), 4)
    assert filled == pytest.approx(asked)
    with pytest.raises(ValueError, match="several lengths"):
        charts.shares(pd.Series(["1 2 3 4", "1 2 3", "1 2"]), 4)


@pytest.mark.slow
def test_the_charts_show_the_tables_numbers():
    frame = rows(lengths=(8, 16), models=("m", "n"))
    found = tables_of(frame)
    drawn = pictured(charts, found, frame)
    assert set(drawn) == {"", "blocks", "order", "lengths"}
    panel = drawn[""].panels[0]
    assert panel.title == "m, canvas of 8"
    assert panel.axis_title("y") == "perplexity"
    own = found["quality"].query("model == 'm' and length == 8")
    shown = sorted(row["y"] for row in panel.rows)
    assert shown == pytest.approx(sorted(own["perplexity"]), rel=1e-5)
    for end in ("low", "high"):
        ends = sorted(row[end] for row in panel.rows)
        assert ends == pytest.approx(sorted(own[f"perplexity_{end}"]), rel=1e-5)
    best = found["front"].query("model == 'm' and length == 8")
    line = panel.layer()
    assert [row["y"] for row in line] == pytest.approx(list(best["perplexity"]), rel=1e-5)
    lengths = found["lengths"].query("model == 'm' and order == @LOW and blocks == 'whole'")
    curve = drawn["lengths"].panels[0].line(order=LOW, where="one block")
    assert curve == pytest.approx(list(lengths["perplexity"]), rel=1e-5)
    assert "n = 6 prompts, 1 mask per step" in drawn["lengths"].caption


def test_curves_over_blocks_begin_where_orders_meet():
    panel = pictures(rows())["blocks"].panels[0]
    assert list(panel.colours()) == [LEFT, LOW]
    low, left = ({"order": order} for order in (LOW, LEFT))
    assert panel.line("x", **low) == panel.line("x", **left) == [1, 2, 4, 8]
    assert panel.line(**low)[0] == panel.line(**left)[0]
    assert len(set(panel.line(**left))) == 1


def test_heat_maps_of_a_middle_and_the_largest_block():
    drawn = pictures(rows())["order"]
    assert drawn.titles()[:4] == [
        f"{size}, {order}" for size in ("blocks of 4", "one block") for order in (LEFT, LOW)
    ]
    shares = [row["fill"] for row in drawn.panels[0].rows if row["x"] == "1"]
    assert sum(shares) == pytest.approx(100)


def test_a_single_prompt_has_no_intervals_and_its_charts_all_the_same():
    frame = rows(lengths=(8, 16))
    frame = frame[frame["prompt"] == "p0"].reset_index(drop=True)
    found = tables_of(frame)
    assert "perplexity_low" not in found["lengths"]
    panel = pictured(charts, found, frame)["lengths"].panels[0]
    assert all(row.get("low") is None for row in panel.rows)
    assert panel.line(order=LOW, where="one block")
