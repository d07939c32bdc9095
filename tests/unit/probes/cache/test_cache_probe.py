"""The cache probe: its comparison against a literal loop, and where theory knows the error: 0."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from checkpoints import write_dream, write_llada

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import answers
from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.decoding.schedule import Order, Schedule
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.models._kv_cache import KVCache
from mdlm_probe.probes.cache import cache_error
from mdlm_probe.probes.cache import probe as cache
from mdlm_probe.prompts import texts

WRITERS = {"llada": write_llada, "dream": write_dream}
WHOLE = (Readout("whole"),)
SMALL = {"lexicon": "small", "limit": 1, "length": 16, "block": (8,)}


@pytest.fixture(scope="module", params=WRITERS)
def engines(request, tmp_path_factory):
    """Random networks of one and two layers, by number of layers."""
    found = {}
    for layers in (1, 2):
        folder = tmp_path_factory.mktemp(f"{request.param}{layers}") / "m"
        WRITERS[request.param](folder, layers=layers)
        found[layers] = Engine(models.load(models.resolve(str(folder))), batch_tokens=512)
    return found


@pytest.fixture(scope="module")
def tiny():
    return Engine(models.load(models.resolve("tiny-mdlm")), batch_tokens=4096)


def canvas_of(entry, prompt=(5, 60, 7, 33), masks=12):
    places = tuple(range(len(prompt), len(prompt) + masks))
    return Canvas((*prompt, *(entry.mask_id,) * masks), places, "a test")


def compared(engine, schedule, canvas=None):
    canvas = canvas or canvas_of(engine.entry)
    return cache_error.compare(engine, [canvas], [replace(schedule, stop=False)])[0]


def literal(engine, canvas, kept, block, at_once):
    """The cached loop written plainly on whole rows: a line per pass, network tokens, text."""
    ids, kept_pairs, lines, tokens = list(canvas.ids), KVCache(), [], 0
    for first in range(0, len(canvas.places), block):
        left, since = list(canvas.places[first : first + block]), 0
        end = left[-1] + 1 if kept == "dual" else len(ids)
        span = tuple(range(left[0] - engine.entry.shift, end))
        while left:
            exact, ours = (
                engine.ask(
                    [Query(tuple(ids), tuple(left), WHOLE, kv_cache=pairs, computed=computed)]
                )[0]["whole"]
                for pairs, computed in ((None, ()), (kept_pairs, span if since else ()))
            )
            tokens += len(span) if since else len(ids)
            best, row = exact.argmax(1), np.arange(len(left))
            gaps = np.abs(exact[row, best] - ours[row, best])
            writes = [
                {left[i]: int(rows[i].argmax()) for i in np.argsort(-rows.max(1))[:at_once]}
                for rows in (ours, exact)
            ]
            both = writes[0].keys() & writes[1].keys()
            same = (best == ours.argmax(1)).sum()
            commits = sum(writes[0][at] == writes[1][at] for at in both)
            lines.append((since, len(left), same, gaps, len(writes[0]), len(both), commits))
            for at, token in writes[0].items():
                ids[at] = token
                left.remove(at)
            since += 1
    return lines, tokens, ids


@pytest.mark.parametrize("kept", ["prefix", "dual"])
@pytest.mark.parametrize(("block", "at_once"), [(6, 1), (4, 2), (12, 3)])
@pytest.mark.slow
def test_errors_equal_a_literal_loop(engines, kept, block, at_once):
    engine = engines[2]
    canvas = canvas_of(engine.entry)
    lines, tokens, ids = literal(engine, canvas, kept, block, at_once)
    schedule = Schedule(12 // at_once, block, cache=kept)
    _, followed = compared(engine, schedule, canvas)
    assert list(followed.decoded.tokens) == [ids[place] for place in canvas.places]
    assert followed.decoded.network_tokens == tokens
    assert [error.since for error in followed.errors] == list(range(block // at_once))
    for error in followed.errors:
        since, masks, same, gaps, *commits = zip(
            *(line for line in lines if line[0] == error.since), strict=True
        )
        assert (error.passes, error.masks, error.same_top) == (len(since), sum(masks), sum(same))
        found = [error.committed, error.same_choice, error.same_commit]
        assert found == [sum(part) for part in commits]
        assert error.gap == pytest.approx(np.concatenate(gaps).sum(), abs=1e-4)
        assert error.gap_max == pytest.approx(np.concatenate(gaps).max(), abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["prefix", "dual"])
def test_one_layer_reuses_without_error(engines, kept):
    """Its keys and values are those of a token alone, and what is kept keeps its tokens. So the
    exact rows must choose as the loop does, by every order, and a whole pass serves both.
    """
    engine, began = engines[1], engines[1].tokens
    schedules = [
        Schedule(6, 4, order, 0.1, temperature, cache=kept, seed=3, stop=False)
        for order in get_args(Order)
        for temperature in (0.0, 1.0)
    ]
    # a prompt of its own for each: no pass of one serves another
    canvases = [canvas_of(engine.entry, (5, 60, 7, 33 + n)) for n in range(len(schedules))]
    found, tokens = cache_error.compare(engine, canvases, schedules), 0
    for schedule, canvas, (exact, followed) in zip(schedules, canvases, found, strict=True):
        assert followed.decoded.tokens == exact.tokens, schedule
        for error in followed.errors:
            assert error.gap_max < 1e-5, schedule
            assert error.same_top == error.masks, schedule
            assert error.same_choice == error.same_commit == error.committed, schedule
        tokens += followed.decoded.network_tokens + exact.passes * len(canvas.ids)
    assert engine.tokens - began == tokens


@pytest.mark.parametrize(
    ("order", "threshold", "amount", "expected"),
    [
        ("low_confidence", 0.9, 1, {4: 9}),
        ("low_confidence", 0.9, 2, {2: 7, 4: 9}),
        ("low_confidence", 0.9, 3, {2: 7, 4: 9, 5: 6}),
        ("threshold", 0.5, 1, {2: 7, 4: 9, 5: 6}),
        ("threshold", 0.9, 4, {4: 9}),
        ("threshold", 0.99, 4, {4: 9}),
    ],
)
def test_what_a_step_commits(order, threshold, amount, expected):
    """The leftmost among equals; a threshold takes no amount, and one mask at least."""
    sure = np.log([0.8, 0.3, 0.95, 0.8])
    candidates = np.stack([[7, 8, 9, 6], sure, sure], axis=1)
    schedule = Schedule(order=order, threshold=threshold)
    assert cache_error.committed((2, 3, 4, 5), candidates, schedule, amount) == expected


@pytest.mark.parametrize("kept", ["prefix", "dual"])
def test_two_layers_do_not(engines, kept):
    _, followed = compared(engines[2], Schedule(12, 6, cache=kept))
    first, *others = followed.errors
    assert first.gap_max < 1e-5
    assert (first.same_top, first.same_commit) == (first.masks, first.committed)
    assert all(error.gap_max > 1e-2 for error in others)


@pytest.mark.parametrize("kept", ["prefix", "dual"])
def test_steps_that_reuse_nothing_are_exact(engines, kept):
    """One step a block: every pass is a whole one."""
    exact, followed = compared(engines[2], Schedule(3, 4, cache=kept))
    assert followed.decoded.tokens == exact.tokens
    assert followed.decoded.network_tokens == exact.passes * len(exact.canvas.ids) == 3 * 16
    (error,) = followed.errors
    assert (error.since, error.passes, error.masks) == (0, 3, 12)
    assert error.gap_max < 1e-5


def test_one_block_has_nothing_behind_it(engines):
    """So both caches keep the same, the prompt alone."""
    prefix, dual = (
        compared(engines[2], Schedule(12, cache=kept))[1] for kept in ("prefix", "dual")
    )
    assert prefix.decoded == dual.decoded
    assert prefix.errors == dual.errors
    assert prefix.decoded.network_tokens == 16 + 11 * (12 + engines[2].entry.shift)


def test_waves_change_nothing(engines):
    class Narrow(Engine):
        kv_cache_tokens, most = 31, 0

        def ask(self, queries):
            kept = {id(query.kv_cache): query for query in queries if query.kv_cache}
            self.most = max(self.most, sum(len(query.ids) for query in kept.values()))
            return super().ask(queries)

    engine = engines[2]
    prompts = [(5, 60, 7, 33), (9, 8), (70, 71, 72)]
    canvases = [canvas_of(engine.entry, prompt) for prompt in prompts]
    schedules = [Schedule(12, 6, cache=kept) for kept in ("prefix", "dual", "prefix")]
    together = cache_error.compare(engine, canvases, schedules)
    narrow = Narrow(engine.model, batch_tokens=512)
    alone = cache_error.compare(narrow, canvases, schedules)
    assert 0 < narrow.most <= 31
    for (exact, ours), (same, other) in zip(together, alone, strict=True):
        assert (exact.tokens, ours.decoded.tokens) == (same.tokens, other.decoded.tokens)
        assert ours.decoded.network_tokens == other.decoded.network_tokens
        for a, b in zip(ours.errors, other.errors, strict=True):
            assert a.gap == pytest.approx(b.gap, abs=1e-4)


# ---------------------------------------------------------------------- the probe


def test_defaults():
    cells = cache.plan()
    assert len(cells) == 2 * len(texts.load("open"))
    assert {(c.length, c.steps, c.block, c.order) for c in cells} == {
        (256, 256, 32, "low_confidence")
    }
    assert [c.cache for c in cells[:2]] == ["prefix", "dual"]
    assert {c.block for c in cache.plan(limit=1, block=(0, 64))} == {256, 64}


@pytest.mark.slow
def test_rows_of_the_bundled_model(tiny):
    """The exact half is what `answers.write` writes; the other is close to it, and not exact."""
    cells = cache.plan(**{**SMALL, "limit": 2, "length": 32})
    written = answers.write(
        tiny,
        [text for text in texts.load("open", "small") if text.id in {c.prompt for c in cells}],
        32,
        [Schedule(32, 8)] * 4,
        ["a", "b", "c", "d"],
    )
    gaps = []
    for number, (cell, rows) in enumerate(cache.measure(tiny, cells)):
        ((text,), passes) = rows["answers"], rows["steps"]
        assert text["answer_exact"] == written[number // 2].text
        assert text["answer_tokens_exact"] == len(written[number // 2].ids)
        assert text["passes"] == text["passes_exact"] == 32
        assert text["fed_exact"] % 32 == 0
        length = text["fed_exact"] // 32
        own = 8 * 28 if cell.cache == "dual" else 7 * (32 + 24 + 16 + 8)
        assert text["fed"] == 4 * length + own
        assert (text["edit_distance"] == 0) == (text["divergence"] is None) == (text["differ"] == 0)
        assert [row["since"] for row in passes] == list(range(8))
        assert [row["masks_asked"] for row in passes] == [4 * n for n in range(8, 0, -1)]
        assert passes[0]["dlogp_max"] < 1e-5
        gaps += [row["dlogp_mean"] for row in passes[1:]]
        for row in passes:
            assert row["dlogp_mean"] <= row["dlogp_max"]
            assert row["committed"] == row["compared_passes"] == 4
            assert 0 < row["same_commit"] <= row["same_choice"] <= 1
            assert 0 < row["same_top"] <= 1
        assert passes[0]["same_commit"] == passes[0]["same_top"] == 1
    assert number == 7
    assert 1e-4 < np.mean(gaps) < 0.5


def test_random_numbers_are_the_same_for_every_cache_and_block():
    cells = cache.plan(**{**SMALL, "block": (4, 8)}, temperature=1.0)
    seeds = {}
    for cell in cells:
        seeds.setdefault(cell.prompt, set()).add(cell.schedule().seed)
    assert [len(found) for found in seeds.values()] == [1, 1]
    assert len(set.union(*seeds.values())) == 2


def test_a_dry_run_counts_three_passes_a_step():
    entry = models.resolve("tiny-mdlm")
    counter = DryRun(entry, models.load_border(entry))
    cells = cache.plan(**{**SMALL, "tasks": ("prose",), "cache": ("dual",)})
    assert [cell for cell, _ in cache.measure(counter, cells)] == cells
    assert len(counter.lengths) == 3 * 16
    assert len(set(counter.lengths)) == 1


def test_what_has_no_keys_is_refused():
    cell = cache.plan(**SMALL)[0]
    assert "no keys and values" in cache.refuse(cell, models.resolve("oracle"))
    assert cache.refuse(cell, models.resolve("tiny-mdlm")) == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": (7,)}, "--block 7 does not divide"),
        ({"block": (0, 16)}, "--block names a value twice"),
        ({"block": (-8,)}, "--block has -8"),
        ({"cache": ("dual", "dual")}, "--cache names a value twice"),
        ({"steps": 1}, "--steps 1 are fewer"),
        ({"steps": 0}, "--steps has 0"),
        ({"length": 0}, "--length has 0"),
        ({"limit": 0}, "--limit has 0"),
        ({"temperature": -1.0}, "--temperature has -1"),
        ({"order": "threshold", "threshold": 0.0}, "--threshold has 0"),
        ({"tasks": ("nothing",)}, "unknown task 'nothing'"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ProbeError, match=message):
        cache.plan(**{**SMALL, **options})
