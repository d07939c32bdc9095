"""The blocks probe: which combinations it asks, and what it says of the answers."""

import functools
import math
from dataclasses import replace
from itertools import pairwise

import oracles
import pandas as pd
import pytest
import reference
from checkpoints import write_llada

from mdlm_probe import models
from mdlm_probe.core.columns import names
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import answers, loop
from mdlm_probe.decoding.canvas import Canvas, Decoded
from mdlm_probe.decoding.schedule import Schedule, check
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.probes.blocks import probe as blocks
from mdlm_probe.probes.blocks.equivalent import SERIES, EquivalentCells
from mdlm_probe.probes.blocks.filling_order import filling_columns
from mdlm_probe.probes.blocks.grid import Combination, combinations

ORDERS = ("random", "left_to_right", "low_confidence", "threshold", "dream_entropy")


@pytest.fixture
def prompts(tmp_path):
    (tmp_path / "p.txt").write_text("abcad\ndab\n")
    return str(tmp_path / "p.txt")


def engine(*ends):
    """An oracle of four letters, some of which end a text."""
    model = oracles.model(3)
    model.entry = replace(model.entry, eos_ids=ends)
    return Engine(model, batch_tokens=4096)


def measured(asker, prompts, **options):
    cells = blocks.plan(prompts=prompts, **options)
    return [(cell, row) for cell, (row,) in blocks.measure(asker, cells)]


# ---------------------------------------------------------------------- the grid


def test_defaults_are_powers_of_two_and_three_numbers_of_steps():
    cells = blocks.plan(limit=1)
    asked = {(c.length, c.block, c.steps, c.order) for c in cells}
    assert len(cells) == 5 * len(asked)
    own = {(block, steps) for _, block, steps, order in asked if order == "random"}
    fits = {(2**i, s) for i in range(9) for s in (256, 128, 64) if 2**i * s >= 256}
    assert own == {(block, steps) for block, steps in fits if block * steps > 256}
    left = {(block, steps) for _, block, steps, order in asked if order == "left_to_right"}
    assert left == {(1, 256), (2, 128), (4, 64)}
    assert len(asked) == 2 * len(own) + 3


def decoded(asker, one, temperature=0.0):
    masks = oracles.MASK
    canvas = Canvas((0, 1, *[masks] * one.length), tuple(range(2, 2 + one.length)))
    schedule = Schedule(one.steps, one.block, one.order, temperature=temperature, stop=False)
    schedule = replace(schedule, seed=5, threshold=0.6)
    (found,) = loop.decode_all(asker, [canvas], [schedule])
    return found.steps, found.tokens, found.logprobs, found.passes


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize(
    ("length", "steps"), [(8, (2, 4, 8)), (12, (5, 6, 9, 12))], ids=["even", "uneven"]
)
@pytest.mark.slow
def test_what_is_left_out_is_what_stands_for_it(length, steps, temperature):
    """Every possible combination, decoded, against the one that was asked in its place."""
    asker, sizes = oracles.engine(3), [n for n in range(1, length + 1) if length % n == 0]
    found = combinations((length,), sizes, steps, ORDERS, cached=False)
    assert len(set(found)) == len(found)
    frame = pd.DataFrame([{"model": "m"} | one._asdict() for one in found])
    stands, left_out = EquivalentCells(frame[SERIES]), 0
    text = functools.cache(lambda one: decoded(asker, one, temperature))  # many have the same
    for one in (Combination(length, b, s, o) for b in sizes for s in steps for o in ORDERS):
        at = stands.of("m", *one)
        if not one.fits:
            assert at == () or one.order in ("threshold", "left_to_right")
            continue
        asked = Combination(*at[1:])
        assert asked in found
        left_out += asked != one
        if asked != one:
            assert text(one) == text(asked), one
    assert left_out > len(sizes)


def test_kept_keys_and_values_tell_blocks_apart():
    found = combinations((8,), (2, 4, 8), (8,), ("left_to_right",), cached=True)
    assert [one.block for one in found] == [2, 4, 8]
    assert len(combinations((8,), (2, 4, 8), (8,), ("left_to_right",), cached=False)) == 1


def test_impossible_combinations_are_left_out_but_no_value_is():
    found = combinations((8, 12), (4, 6), (2, 12), ("random",), cached=False)
    assert {one[:3] for one in found} == {(8, 4, 2), (12, 4, 12), (12, 6, 2), (12, 6, 12)}


@pytest.mark.parametrize(
    ("lengths", "sizes", "steps", "message"),
    [
        ((8, 12), (4, 5), (), "--block 5 does not divide --length 8"),
        ((8, 9), (3,), (), "--block 3 does not divide --length 8"),
        ((8,), (), (9,), "--steps 9 are more than the masks of --length 8"),
        ((8,), (1, 2), (3,), "--steps 3 are fewer than the 8 blocks"),
    ],
)
def test_values_that_fit_nothing_are_refused(lengths, sizes, steps, message):
    with pytest.raises(ProbeError, match=message):
        combinations(lengths, sizes, steps, ("random",), cached=False)


def test_threshold_alone_needs_no_steps():
    found = combinations((8,), (1, 4), (2,), ("threshold",), cached=False)
    assert [tuple(one) for one in found] == [(8, 1, 8, "left_to_right"), (8, 4, 8, "threshold")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": (0,)}, "--length has 0"),
        ({"block": (4, 4)}, "--block names a value twice"),
        ({"order": ("random", "random")}, "--order names a value twice"),
        ({"threshold": 1.5}, "--threshold has 1.5"),
        ({"temperature": -1.0}, "--temperature has -1"),
        ({"guidance": 1.0, "cache": "dual"}, "--guidance and --cache"),
        ({"tasks": ("nothing",)}, "task 'nothing'"),
        ({"limit": 0}, "--limit has 0"),
        ({"seed": -1}, "--seed has -1"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ProbeError, match=message):
        blocks.plan(**options)


def test_lengths_beyond_the_context_are_left_out():
    cells = blocks.plan(limit=1, length=(32, 64), tasks=("plan",))
    entry = Checkpoint("m", "llada", "masked", context=64)
    assert {c.length for c in cells if not blocks.refuse(c, entry)} == {32}


# ---------------------------------------------------------------------- rows


def test_equal_schedules_of_a_prompt_share_their_random_numbers():
    a, b = blocks.plan(limit=1, tasks=("plan",), block=(64, 256), steps=(256,), order=("random",))
    assert a.schedule().seed == b.schedule().seed
    assert a.schedule() == replace(b.schedule(), block=64)
    assert (
        blocks.plan(limit=1, seed=1)[0].schedule().seed != blocks.plan(limit=1)[0].schedule().seed
    )


def made(tokens, steps, logprobs, ends=(9,)):
    canvas = Canvas((1, 1, *[7] * len(tokens)), tuple(range(2, 2 + len(tokens))))
    nan = (math.nan,) * len(tokens)
    found = Decoded(canvas, tokens, steps, tokens, logprobs, nan, max(steps), max(steps), 8 * 4)
    cut = next((i for i, token in enumerate(tokens) if token in ends), len(tokens))
    answer = answers.Answer(tokens[:cut], tuple(range(cut)), "", cut < len(tokens), found)
    return filling_columns(answer, Checkpoint("m", "llada", "masked", eos_ids=ends))


def test_filling_columns_in_closed_form():
    logs = tuple(map(math.log, (0.5, 0.125, 0.9, 0.1, 0.9, 0.9)))
    row = made((1, 2, 9, 3, 9, 9), (2, 4, 3, 4, 1, 1), logs)
    assert row["confidence"] == pytest.approx(0.25)
    assert row["end_first"] == 0.5
    assert row["tail_eos_first"] == 1.0
    assert row["per_step"] == 1.5
    assert row["canvas_tokens"] == 8 * 4
    assert row["answer_tau"] == 1.0
    assert row["tau"] < 0
    assert row["unmasked"] == "2 4 3 4 1 1"


def test_nothing_is_said_of_what_there_is_not():
    none = made((9, 9), (1, 1), (-1.0, -1.0))
    assert none["confidence"] is None
    assert none["end_first"] is None
    assert none["tail_eos_first"] == 1.0
    whole = made((1, 2), (1, 2), (-1.0, -1.0))
    assert whole["end_first"] is None
    assert whole["tail_eos_first"] is None


@pytest.mark.parametrize("cache", ["none", "prefix", "dual"])
@pytest.mark.slow
def test_tokens_through_the_network_are_those_that_the_engine_counts(tmp_path, cache):
    (tmp_path / "p.txt").write_text("the red cat\n")
    asker = Engine(models.load(models.resolve(str(write_llada(tmp_path / "m")))), batch_tokens=4096)
    options = {"length": (12,), "block": (3, 4, 12), "steps": (6, 12), "cache": cache}
    for cell in blocks.plan(prompts=str(tmp_path / "p.txt"), **options):
        before = asker.tokens
        ((_, (row,)),) = blocks.measure(asker, [cell])
        assert row["canvas_tokens"] == asker.tokens - before, cell


def test_what_a_plan_counts_is_what_a_run_takes(prompts):
    asker = oracles.engine(3)
    options = {"length": (6, 8), "order": ("random", "low_confidence", "left_to_right")}
    counter = DryRun(asker.entry, asker.border)
    cells = blocks.plan(prompts=prompts, **options)
    assert [cell for cell, _ in blocks.measure(counter, cells)] == cells
    rows = [row for _, row in measured(asker, prompts, **options)]
    assert sum(counter.lengths) == sum(row["canvas_tokens"] for row in rows)


def test_rows_say_what_was_written(prompts):
    rows = measured(engine(), prompts, length=(6,))
    for cell, row in rows:
        assert row["answer_tokens"] == len(row["answer"]) == 6
        steps = [int(step) for step in row["unmasked"].split()]
        assert row["passes"] == row["decided"] == max(steps) == cell.steps
        assert row["nll"] is row["scorer_tokens"] is row["correct"] is None
        assert "".join(row["canvas"]) == row["answer"]
        sizes = [steps[i : i + cell.block] for i in range(0, 6, cell.block)]
        assert all(max(a) < min(b) for a, b in pairwise(sizes))
        if cell.order == "left_to_right":
            assert steps == sorted(steps)
    assert {tuple(row) for _, row in rows} == {names(blocks.COLUMNS)}


def test_stopping_early_saves_passes_and_changes_no_answer(prompts):
    options = {"length": (12,), "temperature": 1.0}
    whole = measured(engine(0, 2), prompts, **options)
    early = measured(engine(0, 2), prompts, **options, early_stop="yes")
    saved = 0
    for (_, slow), (_, fast) in zip(whole, early, strict=True):
        assert fast["answer"] == slow["answer"]
        assert fast["passes"] == fast["decided"] == slow["decided"] <= slow["passes"]
        saved += slow["passes"] - fast["passes"]
    assert saved > 0
    assert any(row["ended"] for _, row in whole)


def test_one_step_a_token_from_the_left_is_as_likely_as_it_says(prompts):
    """The oracle's marginals are exact: from left to right it says the text's own probability."""
    ((cell, row),) = measured(
        oracles.engine(3), prompts, length=(4,), steps=(4,), order=("left_to_right",), limit=1
    )
    joint = oracles.joint(3, tuple(map("abcd".index, "abcad")), 4)
    likely = joint[tuple(map("abcd".index, row["answer"]))]
    assert row["confidence"] ** 4 == pytest.approx(likely, rel=1e-4)
    assert cell.block == 1


def test_committed_rows_have_scores():
    frame = pd.DataFrame(reference.rows("blocks", "tiny-mdlm"))
    assert set(frame["order"]) == {"low_confidence", "random", "left_to_right"}
    frame = frame.apply(pd.to_numeric, errors="coerce").assign(task=frame["task"])
    assert (frame["correct"].notna() == (frame["task"] == "question")).all()
    assert (frame["nll"] > 0).all()
    assert (frame["scorer_tokens"] > 0).all()


def test_the_rule_for_possible_combinations_is_that_of_schedules():
    for length, size, steps in ((8, 4, 2), (8, 4, 1), (8, 3, 8), (8, 8, 9), (8, 1, 8)):
        try:
            check(length, Schedule(steps, size))
        except ProbeError:
            assert not Combination(length, size, steps, "random").fits
        else:
            fits = Combination(length, size, steps, "random").fits
            assert fits == (steps <= length), "others would be no further combination"
