"""Readings of attention against sums written out, and what the engine makes of them."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from checkpoints import write_llada, write_llama
from plain import LLADA, LLAMA, Plain, read

from mdlm_probe import models
from mdlm_probe.engine import attention_readouts, batches, multi_step
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Attention, Guidance, Query, Readout

HEADS, LENGTH = 3, 7
WEIGHTS = torch.rand(HEADS, LENGTH, LENGTH, generator=torch.Generator().manual_seed(0)).softmax(-1)
TEXTS = ((5, 60, 7, 200, 12, 9, 33), (8, 1, 30, 2, 2, 90, 41, 17, 3), (4, 4, 60, 7, 9))
STARTS = (0, 1, 2, 4)


def readings(length):
    """All functions, of all queries and of some."""
    groups = ((0, 2), (), tuple(range(3, length)))
    return (
        Attention("received", ((),)),
        Attention("received", ((1, 4),)),
        Attention("strongest", ((0,) * length,)),
        Attention("to_groups", ((2,), groups)),
        Attention("by_distance", ((), STARTS)),
        Attention("by_distance", ((1, 3), STARTS)),
    )


def literal(asked, weights):
    """The same sums, one pair of tokens at a time."""
    heads, length = weights.shape[:2]
    queries = [*(asked.args[0] or range(length))]
    pairs = [(h, q, k) for h in range(heads) for q in queries for k in range(length)]
    if asked.name == "strongest":
        found = np.zeros(length)
        for head in range(heads):
            received = [
                sum(weights[head, q, k].item() for q in range(length)) for k in range(length)
            ]
            found[np.argmax(received)] += 1 / heads
        return found
    if asked.name == "received":
        kinds, of = range(length), lambda q, k: k
    elif asked.name == "to_groups":
        kinds = range(len(asked.args[1]))
        of = lambda q, k: next((n for n, own in enumerate(asked.args[1]) if k in own), -1)  # noqa: E731
    else:
        kinds = range(len(STARTS))
        of = lambda q, k: max(n for n, start in enumerate(STARTS) if abs(q - k) >= start)  # noqa: E731
    found = np.zeros(len(kinds))
    for head, query, key in pairs:
        if of(query, key) >= 0:
            found[of(query, key)] += weights[head, query, key].item()
    return found / heads / len(queries)


@pytest.mark.parametrize("asked", readings(LENGTH), ids=str)
def test_readings_are_sums_over_pairs(asked):
    found = getattr(attention_readouts, asked.name)(WEIGHTS, *asked.args)
    assert found.numpy() == pytest.approx(literal(asked, WEIGHTS), abs=1e-6)


def even_share(*begins):
    return attention_readouts.received(attention_readouts.even_weights(begins), ()).numpy()


def test_an_even_share_is_what_even_attention_gives():
    """Of causal attention: the first key is seen by all, and has harmonic numbers' share."""
    harmonic = [sum(1 / (q + 1) for q in range(k, LENGTH)) / LENGTH for k in range(LENGTH)]
    assert even_share(*range(LENGTH)) == pytest.approx(harmonic, abs=1e-6)
    blocks = even_share(0, 0, 2, 2, 2, 2)
    assert blocks == pytest.approx([1 / 6 + 1 / 9] * 2 + [1 / 9] * 4, abs=1e-6)
    assert even_share(0, 0, 0, 0, 0) == pytest.approx([0.2] * 5)


def test_no_head_has_its_strongest_key_at_the_start_for_being_seen_by_all():
    """Even causal attention gives the first key most; a little more elsewhere stands out."""
    even = torch.ones(LENGTH, LENGTH).tril()
    tilted = even.clone()
    tilted[5, 3] += 0.5
    weights = torch.stack([m / m.sum(1, keepdim=True) for m in (tilted, tilted)])
    assert attention_readouts.received(weights, ()).argmax() == 0
    found = attention_readouts.strongest(weights, tuple(range(LENGTH)))
    assert found.tolist() == [0, 0, 0, 1, 0, 0, 0]


# ---------------------------------------------------------------------- in an engine


@pytest.fixture(scope="module", params=["llada", "causal"])
def both(request, tmp_path_factory):
    """An engine over a random network, and the same in plain torch."""
    masked = request.param == "llada"
    folder = tmp_path_factory.mktemp(request.param) / "m"
    (write_llada if masked else write_llama)(folder)
    plain = Plain(read(folder), LLADA if masked else LLAMA, causal=not masked)
    return Engine(models.load(models.resolve(str(folder))), batch_tokens=512), plain


def queries(removed=()):
    """A query of each text; asked is amid the text, so that a causal one could be cut."""
    return [
        Query(text, (2,), (Readout("top_logprob"),), attention=readings(len(text)), removed=removed)
        for text in TEXTS
    ]


@pytest.mark.parametrize("removed", [(), ((0, 1), (1, 3))])
def test_answers_are_reductions_of_every_layer_of_the_whole_text(both, removed):
    engine, plain = both
    plain.removed = removed
    for text, answer in zip(TEXTS, engine.ask(queries(removed)), strict=True):
        weights = plain.attention(list(text))
        for asked in readings(len(text)):
            expected = np.stack([literal(asked, layer) for layer in weights])
            assert answer[asked] == pytest.approx(expected, abs=1e-5), asked
        row = 2 - engine.model.shift
        logprobs = plain.logprobs(list(text), engine.entry.mask_id)[row]
        assert answer["top_logprob"][0] == pytest.approx(logprobs.max().item(), abs=1e-4)
    plain.removed = ()


def test_attention_alone_can_be_read(both):
    engine, _ = both
    (asked,) = engine.ask([Query(TEXTS[0], (), (), attention=readings(7)[:1])])
    (beside,) = engine.ask(queries()[:1])
    assert list(asked) == [readings(7)[0]]
    assert np.array_equal(asked[readings(7)[0]], beside[readings(7)[0]])


def test_plain_queries_travel_apart_and_are_answered_as_before(both):
    engine, _ = both
    plain = [replace(query, attention=()) for query in queries()]
    (usual,), (mixed, opened, *_) = engine.ask(plain[:1]), engine.ask([plain[0], *queries()])
    assert mixed == usual
    assert opened["top_logprob"] == pytest.approx(mixed["top_logprob"], abs=1e-5)


def test_shapes_and_types_of_a_dry_run_are_an_engines(both):
    engine, _ = both
    (likely,), (found,) = (
        DryRun(engine.entry, engine.border).ask(queries()[:1]),
        engine.ask(queries()[:1]),
    )
    assert tuple(likely) == tuple(found)
    for name, array in found.items():
        assert (likely[name].shape, likely[name].dtype) == (array.shape, array.dtype), name


def test_every_reading_is_tried():
    functions = inspect.getmembers(attention_readouts, inspect.isfunction)
    named = {n for n, f in functions if next(iter(inspect.signature(f).parameters)) == "weights"}
    assert named == {asked.name for asked in readings(7)}


def test_equal_texts_are_merged_only_where_attention_is_alike(both):
    """In multi-step work: one pass for what asks alike, another where a key is removed."""
    engine, _ = both
    first, *_ = queries()
    asked = [first, replace(first, positions=(3,)), replace(first, removed=((0, 1),))]

    def one():
        return (yield asked)

    began = engine.tokens
    (found,) = multi_step.run(engine, [one()])
    assert engine.tokens - began == 2 * len(first.ids)
    apart = [engine.ask([query])[0] for query in asked]
    for ours, theirs in zip(found, apart, strict=True):
        assert set(ours) == set(theirs)
        for name in theirs:
            assert ours[name] == pytest.approx(theirs[name], abs=1e-6), name


def test_a_layer_of_scores_is_counted_as_memory(both):
    """A row counts for as many tokens as its heads' pairs of tokens take: batches are smaller."""
    engine, _ = both
    long = Query((5,) * 100, (), (), attention=(Attention("received", ((),)),))
    width = 8 * engine.entry.geometry["hidden"] + 3 * engine.entry.geometry["intermediate"]
    pairs = engine.entry.geometry["heads"] * 100**2
    taken = batches.taken(long, engine.entry)
    assert taken >= 100 + 2 * pairs / width  # of each pair a score and a weight
    assert batches.taken(replace(long, attention=()), engine.entry) == 100
    _, spans = batches.spans([long] * 4, 2 * taken, engine.entry)
    assert [span.stop - span.start for span in spans] == [2, 2]


def test_attention_is_opened_in_plain_passes_of_networks(both):
    engine, _ = both
    with pytest.raises(AssertionError, match="plain passes"):
        engine.ask([replace(queries()[0], guidance=Guidance(1.0, (0,)))])
    oracle = Engine(models.load(models.resolve("oracle")), batch_tokens=512)
    with pytest.raises(AssertionError, match="no network"):
        oracle.ask([Query((5, 6, 7), (2,), (Readout("top_id"),), removed=((0, 1),))])
