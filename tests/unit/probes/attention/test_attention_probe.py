"""The attention probe: which passes it reads, of which models; sinks, controls and effects."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from checkpoints import write_dream
from dense_checkpoints import write_dense
from expert_checkpoints import write_llada2

from mdlm_probe import models
from mdlm_probe.core.cells import key
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import answers
from mdlm_probe.decoding.canvas import Canvas, Decoded
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.models import LoadOptions
from mdlm_probe.probes.attention import effects, probe, rows
from mdlm_probe.probes.attention.by_step import Shares, StepReading
from mdlm_probe.probes.attention.canvases import read_of
from mdlm_probe.probes.attention.sinks import Sinks
from mdlm_probe.prompts import texts

SMALL = {"lexicon": "small", "tasks": ("prose",), "limit": 1, "length": 8, "reads": 3}
MASKED = replace(models.resolve("tiny-mdlm"), mask_id=9, eos_ids=(8,))
WRITERS = {
    "dream": write_dream,
    "llada2": write_llada2,
    "sdar": lambda at: write_dense(at, "sdar", kv_heads=2, head_dim=16),
}


def decoded(ids, places, tokens, steps, origin=0):
    """A canvas whose places were written in these steps."""
    nothing = (math.nan,) * len(places)
    canvas = Canvas(tuple(ids), tuple(places), "a test", origin)
    passes = max(steps)
    given = canvas, tuple(tokens), tuple(steps), tuple(tokens), nothing, nothing
    return Decoded(*given, passes, passes, 0)


# ---------------------------------------------------------------------- which passes


def test_passes_are_spread_over_the_decoding_the_first_among_them():
    whole = decoded((1, 2, 9, 9, 9, 9), (2, 3, 4, 5), (4, 8, 5, 6), (3, 1, 2, 4))
    read = read_of(whole, MASKED, 2, 2)
    assert [(c.progress, c.steps_before) for c in read] == [(0.0, 0), (0.5, 2)]
    assert [c.ids for c in read] == [(1, 2, 9, 9, 9, 9), (1, 2, 9, 8, 5, 9)]
    assert read[1].asked == read[1].queries == (2, 5)
    assert read[1].kinds == ("first", "prompt", "mask", "end", "written", "mask")
    assert read[1].of("mask", "end") == (2, 3, 5)
    assert read[1].begins == (0,) * 6


def test_no_pass_is_read_twice():
    at_once = decoded((1, 9, 9), (1, 2), (4, 5), (1, 1))
    assert [c.progress for c in read_of(at_once, MASKED, 1, 6)] == [0.0]
    in_two = decoded((1, 9, 9), (1, 2), (4, 5), (2, 1))
    assert [c.steps_before for c in read_of(in_two, MASKED, 1, 6)] == [0, 1]


def test_of_blocks_nothing_behind_the_active_one_is_read():
    """Blocks begin at position 1: the first holds one token alone."""
    entry = replace(MASKED, block=4)
    ids, places = (1, 2, 3, *(9,) * 6), range(3, 9)
    blocks = decoded(ids, places, (4,) * 6, (1, 2, 3, 4, 5, 6), origin=1)
    read = read_of(blocks, entry, 3, 3)
    assert [c.steps_before for c in read] == [0, 2, 4]
    assert [len(c.ids) for c in read] == [5, 9, 9]
    assert [c.asked for c in read] == [(3, 4), (5, 6, 7, 8), (7, 8)]
    assert read[1].begins == (0, 1, 1, 1, 1, 5, 5, 5, 5)
    assert {c.origin for c in read} == {1}


def test_a_causal_model_is_read_at_the_end_of_its_text():
    entry = replace(models.resolve("tiny-arlm"), eos_ids=(8,))
    text = decoded((1, 2, 4, 5, 6), (2, 3, 4), (4, 5, 6), (1, 2, 3))
    first, second = read_of(text, entry, 2, 2)
    assert (first.ids, first.asked, first.queries) == ((1, 2), (2,), (1,))
    assert (second.ids, second.steps_before) == ((1, 2, 4), 1)
    assert second.begins == (0, 1, 2)


def test_the_passes_read_are_those_of_greedy_decoding():
    """Each is a canvas that the loop went through, with the masks that were left."""
    engine = Engine(models.load(models.resolve("tiny-mdlm")), batch_tokens=2048)
    (cell,) = probe.plan(**SMALL, controls=0)
    ((_, read),) = probe.measure(engine, [cell])
    (text,) = texts.chosen(texts.load("decay", "small"), ("prose",), 1, "left")
    canvas = answers.canvas_of(engine, text, 8, key(cell))
    layers = read["layers"]
    assert [row["masks_left"] for row in layers if row["layer"] == 1] == [8, 6, 3]
    assert {row["tokens"] for row in layers} == {len(canvas.ids)}
    assert not read["removals"]


# ---------------------------------------------------------------------- sinks and controls


def canvas(kinds, queries=(4, 5)):
    (found,) = read_of(decoded((1, 9), (1,), (4,), (1,)), MASKED, 1, 1)
    return replace(found, kinds=kinds, queries=queries)


def sinks(received, epsilon=3.0):
    received = np.atleast_2d(np.array(received, dtype=float))
    return Sinks(received, np.ones(received.shape[1]), np.zeros_like(received), epsilon)


def test_a_sink_exceeds_the_mean_of_the_others_by_epsilon():
    """The paper's rule, written out, for even shares of 1."""
    rng = np.random.default_rng(0)
    received = rng.dirichlet(np.full(12, 0.2), 40) * 12
    for epsilon in (1.0, 3.0):
        paper = [
            [key > np.delete(row, at).mean() + epsilon for at, key in enumerate(row)]
            for row in received
        ]
        found = sinks(received, epsilon)
        assert found.are.tolist() == paper
        assert 0 < found.are.sum() < found.are.size
        assert found.strongest == tuple(received.argmax(1))


def test_what_is_even_is_no_sink_however_much_it_is():
    even = np.array([4.6, 1.0, 0.2, 0.2])
    assert not Sinks(even[None], even, even[None], 3.0).are.any()
    assert Sinks(even[None] + [[0, 0, 3.1, 0]], even, even[None], 3.0).strongest == (2,)


KINDS = ("first", "prompt", "prompt", "written", "mask", "mask")


@pytest.mark.parametrize(
    ("received", "queries", "expected"),
    [
        ([1, 6, 1, 1, 1, 1], (4, 5), {0, 2}),  # of the prompt
        ([5, 6, 1, 1, 1, 1], (4, 5), {2}),  # no other sink
        ([1, 1, 1, 1, 6, 1], (4, 5), {5}),  # a mask
        ([1, 1, 1, 6, 1, 1], (4, 5), {0, 1, 2, 4, 5}),  # none other was written
        ([1, 6, 1, 1, 1, 1], (2,), {0}),  # the only query goes on to see itself
    ],
)
def test_a_control_is_of_the_same_region_and_no_sink(received, queries, expected):
    found = sinks([received, received])
    drawn = [found.control(canvas(KINDS, queries), seed, 0) for seed in range(60)]
    assert {layer for keys in drawn for layer, _ in keys} == {0, 1}
    assert {place for keys in drawn for _, place in keys} == expected
    assert any(a[1] != b[1] for a, b in drawn) == (len(expected) > 1)  # layers draw by themselves


def test_a_sink_has_moved_from_where_it_was_in_the_pass_before():
    """Not from the first pass; and only between two passes in which there is one."""
    entry = models.resolve("tiny-mdlm")
    asker = SimpleNamespace(entry=entry, border=models.load_border(entry))
    shares = Shares((), np.array([]), np.array([]))
    places = (1, 5, 3, None, 2)
    found = [
        StepReading(
            replace(canvas(KINDS), ids=(5,) * 6),
            sinks([1.0 if at != place else 9.0 for at in range(6)]),
            *(shares, shares),
        )
        for place in places
    ]
    layers = rows.of(asker, found)["layers"]
    assert [row["moved"] for row in layers] == [None, 4, 2, None, None]
    assert [row["sinks"] for row in layers] == [1, 1, 1, 0, 1]


# ---------------------------------------------------------------------- effects


@pytest.mark.parametrize("told", [4, 12])
def test_divergences_of_the_most_probable_tokens_are_no_larger_than_those_of_all(told):
    rng = np.random.default_rng(1)
    p, q = (rng.dirichlet(np.full(12, 0.5), 5) for _ in range(2))
    order = np.argsort(-p, axis=1)[:, :told]
    logs = [np.log(np.take_along_axis(rows, order, 1)) for rows in (p, q)]
    kl, tv = (p * np.log(p / q)).sum(1), np.abs(p - q).sum(1) / 2
    if told == 12:
        assert effects.kl(*logs) == pytest.approx(kl, abs=1e-5)
        assert effects.tv(*logs) == pytest.approx(tv, abs=1e-6)
    else:
        assert (effects.kl(*logs) < kl).all()
        assert (effects.kl(*logs) > 0.1 * kl).all()
        assert (effects.tv(*logs) <= tv + 1e-9).all()
    assert effects.kl(logs[0], logs[0]).max() == 0


def test_a_token_without_probability_adds_nothing():
    before = np.log(np.array([[0.5, 0.5, 1e-300]]))
    before[0, 2] = -np.inf
    assert effects.kl(before, before).tolist() == [0]
    assert effects.changed(np.array([[3, 4], [5, 6]]), np.array([3, 6])).tolist() == [0, 1]


# ---------------------------------------------------------------------- families, plans, errors


@pytest.mark.parametrize("family", WRITERS)
def test_every_family_is_read(family, tmp_path):
    """Shares are whole, and none goes to what isn't seen, in every layer that there is."""
    model = models.load(models.resolve(str(WRITERS[family](tmp_path / "m"))), LoadOptions())
    engine = Engine(model, batch_tokens=2048)
    (tmp_path / "p.jsonl").write_text(
        '{"prompt": "a cat and a red dog", "continuation": " cat dog"}'
    )
    block = {"block": model.entry.block} if model.entry.block else {}
    options = {"length": 32 if family == "llada2" else 8, "reads": 2, "controls": 1}
    cells = list(probe.plan(prompts=str(tmp_path / "p.jsonl"), **options, **block))
    assert probe.refuse(cells[0], model.entry) == ""
    ((_, read),) = probe.measure(engine, cells)
    assert {row["layer"] for row in read["layers"]} == {
        *range(1, model.entry.geometry["layers"] + 1)
    }
    for progress in {row["progress"] for row in read["groups"]}:
        own = [row for row in read["groups"] if row["progress"] == progress]
        for column in ("attention", "even_attention"):
            assert sum(row[column] for row in own) == pytest.approx(1, abs=1e-5)
    strongest, control = read["removals"][:2]
    assert strongest["removed_kl"] > 0
    assert control["removed_kl"] > 0
    if model.entry.block:  # what is read ends with a block
        ends = {row["tokens"] for row in read["layers"]}
        assert {end % model.entry.block for end in ends} == {0}


def test_a_reader_without_a_network_is_refused():
    (cell,) = probe.plan(**SMALL)
    for name in ("oracle", "oracle-causal", "oracle-biased", "oracle-block"):
        assert "no network" in probe.refuse(cell, models.resolve(name))
    assert probe.refuse(cell, models.resolve("tiny-arlm")) == ""
    assert "block" in probe.refuse(cell, replace(models.resolve("tiny-mdlm"), block=5))
    assert probe.suited(replace(models.resolve("tiny-mdlm"), block=5)) == {"block": 5}


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ({"reads": 0}, "--reads"),
        ({"controls": -1}, "--controls"),
        ({"epsilon": -1.0}, "--epsilon"),
        ({"block": 3}, "--block 3 does not divide"),
        ({"tasks": ("none",)}, "none"),
    ],
)
def test_wrong_options_are_named(wrong, found):
    with pytest.raises(ProbeError, match=found):
        probe.plan(**SMALL | wrong)


def test_a_dry_run_counts_the_passes_that_are_made():
    """As many tokens as an engine feeds, where no answer ends early and no two passes are equal."""
    engine = Engine(models.load(models.resolve("tiny-mdlm")), batch_tokens=2048)
    cells = list(probe.plan(**SMALL, controls=2))
    counter = DryRun(engine.entry, engine.border)
    list(probe.measure(counter, cells))
    list(probe.measure(engine, cells))
    assert sum(counter.lengths) == engine.tokens


def test_no_true_continuation_is_no_column():
    entry, usual = models.resolve("tiny-mdlm"), {"lexicon": "full", "tasks": ("all",), "limit": 2}
    assert probe.unwritten({"prompts": "decay"} | usual, entry) == ()
    assert probe.unwritten({"prompts": "open"} | usual, entry) == ("truth_lost",)
