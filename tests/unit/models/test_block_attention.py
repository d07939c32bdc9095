"""Block-causal attention: who sees whom on a network; caches of finished blocks are exact."""

from dataclasses import replace

import block_models
import pytest
import torch

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine import gradients
from mdlm_probe.engine.batches import check, taken
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.models import _blocks, _checks
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.models._hf import NativeModel
from mdlm_probe.models._kv_cache import KVCache

WHOLE = (Readout("whole"),)
MASK = block_models.models.resolve("tiny-mdlm").mask
TEXT = tuple(range(10, 33))


def states(model, texts, origins=None):
    """The states of all positions of texts of any length, row by row."""
    ids = torch.full((len(texts), max(map(len, texts))), 7)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text)
    asked = [(row, at) for row, text in enumerate(texts) for at in range(len(text))]
    rows, at = torch.tensor(asked).unbind(1)
    lengths = torch.tensor([len(text) for text in texts])
    found = model.states(ids, lengths, rows, at + model.shift, origins)
    return list(found.split(lengths.tolist()))


def other(text, place):
    return (*text[:place], 40, *text[place + 1 :])


# ---------------------------------------------------------------------- checkpoints


@pytest.mark.parametrize(
    ("kind", "block", "attention"),
    [("masked", 0, "bidirectional"), ("masked", 4, "block-causal"), ("causal", 0, "causal")],
)
def test_a_checkpoint_says_what_a_token_sees(kind, block, attention):
    assert Checkpoint("m", "f", kind, block=block).attention == attention


@pytest.mark.parametrize("origin", range(4))
def test_spans_of_blocks_are_those_of_block_numbers(origin):
    entry = Checkpoint("m", "f", "masked", block=4)
    at = torch.arange(14)[None]
    number = _blocks.numbers(at, torch.tensor([origin]), 4)[0].tolist()
    assert number == [(place - origin) // 4 for place in range(14)]
    for place in range(10):
        begin, end = entry.block_span(place, origin)
        assert [n == number[place] for n in number] == [begin <= p < end for p in range(14)]


def test_blocks_begin_at_position_0_or_behind_the_prompt():
    entry = Checkpoint("m", "f", "masked", block=4)
    behind = replace(entry, origin="prompt")
    assert [entry.origin_after(n) for n in range(6)] == [0] * 6
    assert [behind.origin_after(n) for n in range(6)] == [0, 1, 2, 3, 0, 1]
    assert all(behind.block_span(n, behind.origin_after(n))[0] == n for n in range(12))
    with pytest.raises(AssertionError, match="no origin"):
        check(Query(TEXT, (1,), WHOLE, origin=4), replace(entry, context=99))


# ---------------------------------------------------------------------- attention


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("origin", [0, 1, 3])
def test_a_token_moves_its_own_block_and_later_ones_alone(origin, shift):
    model = block_models.tiny(4, shift=shift)
    origins = torch.tensor([origin])
    (base,) = states(model, [TEXT], origins)
    for place in range(len(TEXT)):
        (moved,) = states(model, [other(TEXT, place)], origins)
        change = (moved - base).abs().amax(1)
        first, _ = model.entry.block_span(place, origin)
        assert not change[:first].any()
        assert (change[first:] > 1e-4).all()


def test_rows_of_any_length_and_origin_in_one_batch_are_as_by_themselves():
    model = block_models.tiny(4)
    texts, origins = [TEXT, TEXT[3:9], TEXT[:17], TEXT[5:6]], torch.tensor([0, 3, 1, 2])
    together = states(model, texts, origins)
    for text, origin, found in zip(texts, origins, together, strict=True):
        (alone,) = states(model, [text], origin[None])
        assert torch.allclose(found, alone, rtol=0, atol=1e-9)
    assert not torch.allclose(together[2], states(model, texts[2:3])[0], atol=1e-3)


def test_attention_is_that_of_a_loop_over_pairs():
    at, lengths = torch.tensor([[4, 5, 6], [0, 1, 2]]), torch.tensor([7, 3])
    found = _blocks.seen(at, lengths, 7, torch.tensor([1, 2]), 3)
    for row, (length, origin) in enumerate([(7, 1), (3, 2)]):
        for n, place in enumerate(at[row].tolist()):
            seen = [k < length and (k - origin) // 3 <= (place - origin) // 3 for k in range(7)]
            assert found[row, 0, n].tolist() == seen


# ---------------------------------------------------------------------- the self-test


class Sized(NativeModel):
    """A network whose blocks are others than its checkpoint says."""

    size, moved = 4, 0

    def mask(self, ids, lengths, origins=None):
        at = torch.arange(ids.shape[1]).expand_as(ids)
        begin = torch.full_like(lengths, self.moved) + (0 if origins is None else origins)
        return _blocks.seen(at, lengths, ids.shape[1], begin, self.size)


class Careless(NativeModel):
    """A network whose blocks always begin at position 0."""

    def mask(self, ids, lengths, origins=None):
        return super().mask(ids, lengths)


class Unmasked(NativeModel):
    """A network that ignores masks: what its class would do by itself."""

    def mask(self, ids, lengths, origins=None):
        return None


@pytest.mark.parametrize("origin", ["start", "prompt"])
@pytest.mark.parametrize("block", [1, 2, 4, 32])
def test_a_network_with_the_declared_blocks_passes(block, origin):
    _checks.self_test(block_models.tiny(block, origin=origin))
    _checks.self_test(block_models.tiny(block, origin=origin, shift=1))


@pytest.mark.parametrize(
    ("size", "moved", "first", "place"), [(8, 0, 0, 7), (2, 0, 6, 7), (4, 1, 1, 4), (4, -1, 3, 4)]
)
def test_other_blocks_than_declared_are_refused(size, moved, first, place):
    model = block_models.tiny(4, kind=Sized)
    _checks.self_test(model)
    model.size, model.moved = size, moved
    said = f"but block-causal: position {first} is the first to see the token at position {place}"
    with pytest.raises(ProbeError, match=f"in blocks of 4 tokens from position 0 on, {said}"):
        _checks.self_test(model)


def test_blocks_that_do_not_follow_the_prompt_are_refused():
    _checks.self_test(block_models.tiny(4, origin="start", kind=Careless))
    with pytest.raises(ProbeError, match="but block-causal"):
        _checks.self_test(block_models.tiny(4, origin="prompt", kind=Careless))


@pytest.mark.parametrize(("causal", "kind"), [(True, "causal"), (False, "bidirectional")])
def test_networks_without_blocks_are_refused_by_what_they_are(causal, kind):
    model = block_models.tiny(4, kind=Unmasked)
    model.network.config.is_causal = causal
    for layer in model.network.model.layers:
        layer.self_attn.is_causal = causal
    with pytest.raises(ProbeError, match=f"is not block-causal in blocks of 4 .* on, but {kind}"):
        _checks.self_test(model)


def test_a_block_causal_network_is_neither_of_the_others():
    for block, kind in ((2, "bidirectional"), (1, "bidirectional"), (8, "causal"), (2, "causal")):
        model = block_models.tiny(4, kind=Sized)
        model.size = block
        mask_id = None if kind == "causal" else MASK
        told = "causal" if kind == "causal" else "masked"
        model.entry = replace(model.entry, block=0, kind=told, mask_id=mask_id)
        with pytest.raises(ProbeError, match=f"is not {kind}, but "):
            _checks.self_test(model)


# ---------------------------------------------------------------------- caches


def close(found, wanted):
    return torch.allclose(torch.as_tensor(found), torch.as_tensor(wanted), rtol=0, atol=2e-5)


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("origin", [0, 3])
def test_a_block_on_a_cache_of_finished_blocks_is_a_whole_pass(origin, shift):
    model = block_models.tiny(4, shift=shift)
    engine, entry, cache = Engine(model, batch_tokens=512), model.entry, KVCache()
    text = list(TEXT[:19])
    begin, end = entry.block_span(9, origin)
    engine.ask([Query(tuple(text[:begin]), (), (), kv_cache=cache, origin=origin)])
    held = [[part.clone() for part in pair] for pair in cache.layers]
    while begin < len(text):
        end = min(end, len(text))
        left = list(range(begin, end))
        while left:  # as decoding does: one more token in every step
            ids = tuple(MASK if at in left else token for at, token in enumerate(text[:end]))
            computed = tuple(range(begin - shift, end))
            short = {"kv_cache": cache, "computed": computed, "read_only": True}
            ours = Query(ids, tuple(left), WHOLE, origin=origin, **short)
            (found,) = engine.ask([ours])
            behind = (*ids, *[MASK] * 5)[: 4 * (1 + len(ids) // 4) + origin]
            (whole,) = engine.ask([Query(behind[:end], tuple(left), WHOLE, origin=origin)])
            assert close(found["whole"], whole["whole"])
            left.pop(len(left) // 2)
        assert all(
            torch.equal(kept, part[:, :begin])
            for pair, kept_pair in zip(cache.layers, held, strict=True)
            for part, kept in zip(pair, kept_pair, strict=True)
        )
        store = tuple(range(begin, end))
        done = tuple(text[:end])
        engine.ask([Query(done, (), (), kv_cache=cache, computed=store, origin=origin)])
        held = [[part.clone() for part in pair] for pair in cache.layers]
        begin, end = end, end + 4
    full = KVCache()
    engine.ask([Query(tuple(text), (), (), kv_cache=full, origin=origin)])
    for kept, wanted in zip(cache.layers, full.layers, strict=True):
        assert all(close(a, b) for a, b in zip(kept, wanted, strict=True))


def test_the_pass_that_stores_a_block_may_begin_the_next():
    model = block_models.tiny(4)
    engine, cache = Engine(model, batch_tokens=512), KVCache()
    engine.ask([Query(TEXT[:4], (), (), kv_cache=cache)])
    ids = (*TEXT[:8], *[MASK] * 4)
    both = Query(ids, (8, 9), WHOLE, kv_cache=cache, computed=tuple(range(4, 12)))
    (found,), (whole,) = engine.ask([both]), engine.ask([Query(ids, (8, 9), WHOLE)])
    assert close(found["whole"], whole["whole"])
    ids = (*TEXT[:9], *[MASK] * 3)
    place = tuple(range(8, 12))
    next_step = Query(ids, (10,), WHOLE, kv_cache=cache, computed=place, read_only=True)
    (found,), (whole,) = engine.ask([next_step]), engine.ask([Query(ids, (10,), WHOLE)])
    assert close(found["whole"], whole["whole"])


def test_queries_that_only_read_a_cache_share_it():
    model = block_models.tiny(4)
    engine, cache, none = Engine(model, batch_tokens=512), KVCache(), KVCache()
    engine.ask([Query(TEXT[:20], (), (), kv_cache=cache)])
    asked, wanted = [], []
    for begin in (0, 4, 12, 16):  # it holds more than a query's own past
        for masked in ((0,), (1, 3), (0, 1, 2, 3)):
            places = tuple(begin + n for n in masked)
            ids = tuple(MASK if at in places else t for at, t in enumerate(TEXT[: begin + 4]))
            computed = tuple(range(begin, begin + 4))
            kept = cache if begin else none  # nothing stands before the first block
            short = {"kv_cache": kept, "computed": computed, "read_only": True}
            asked.append(Query(ids, places, WHOLE, **short))
            wanted.append(Query(ids, places, WHOLE))
    for found, whole in zip(engine.ask(asked), engine.ask(wanted), strict=True):
        assert close(found["whole"], whole["whole"])
    assert none.layers == []
    with pytest.raises(AssertionError, match="of 0 positions are cached"):
        engine.ask([replace(asked[-1], kv_cache=none)])


def test_an_unfinished_block_in_a_cache_is_not_exact():
    """The exactness above is no accident: what was stored with masks differs."""
    model = block_models.tiny(4)
    engine, cache = Engine(model, batch_tokens=512), KVCache()
    engine.ask([Query((*TEXT[:3], MASK), (), (), kv_cache=cache)])
    ids = (*TEXT[:7], MASK)
    short = {"kv_cache": cache, "computed": (4, 5, 6, 7), "read_only": True}
    (found,) = engine.ask([Query(ids, (7,), WHOLE, **short)])
    (whole,) = engine.ask([Query(ids, (7,), WHOLE)])
    assert not close(found["whole"], whole["whole"])


# ---------------------------------------------------------------------- two streams


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("origin", [0, 3])
def test_blocks_beside_a_clean_text_are_one_pass_each(origin, shift):
    model = block_models.tiny(4, shift=shift)
    engine, entry = Engine(model, batch_tokens=512), model.entry
    beside, alone = [], []
    for first, last in ((6, 18), (9, 13), (5, 6)):
        blocks, at = [], first
        while at < last:
            blocks.append(entry.block_span(at, origin))
            at = blocks[-1][1]
        masked = [p for begin, end in blocks for p in (begin, end - 1) if p >= first]
        noised = tuple(MASK if p in masked else t for p, t in enumerate(TEXT[: blocks[-1][1]]))
        computed, clean = tuple(range(blocks[0][0], blocks[-1][1])), TEXT[: blocks[-1][0]]
        two = {"computed": computed, "clean": clean, "origin": origin}
        beside.append(Query(noised, tuple(masked), WHOLE, **two))
        for begin, end in blocks:
            own = tuple(p for p in masked if begin <= p < end)
            alone.append(Query(TEXT[:begin] + noised[begin:end], own, WHOLE, origin=origin))
    found = torch.cat([torch.as_tensor(one["whole"]) for one in engine.ask(beside)])
    wanted = torch.cat([torch.as_tensor(one["whole"]) for one in engine.ask(alone)])
    finite = wanted.isfinite()
    assert (found - wanted)[finite].abs().max() < 1e-5
    assert torch.equal(found.isfinite(), finite)


# ---------------------------------------------------------------------- the engine


def test_answers_do_not_depend_on_the_batch():
    model = block_models.tiny(4)
    queries = [
        Query(TEXT[n : n + length], (length - 1,), WHOLE, origin=n % 4)
        for n, length in enumerate([3, 9, 16, 8, 5, 13])
    ]
    small, large = Engine(model, batch_tokens=1), Engine(model, batch_tokens=4096)
    for one, other_one in zip(small.ask(queries), large.ask(queries), strict=True):
        assert close(one["whole"], other_one["whole"])


def test_masks_of_long_prompts_count_as_memory():
    entry = block_models.tiny(4).entry
    bidirectional = replace(entry, block=0)
    short, long = Query(TEXT[:4], (1,), WHOLE), Query(TEXT[:1] * 4096, (1,), WHOLE)
    assert [taken(q, bidirectional) for q in (short, long)] == [4, 4096]
    pairs = (8 * 32 + 3 * 48) * 2 // 3
    assert [taken(q, entry) for q in (short, long)] == [5, 4096 + -(-(4096**2) // pairs)]
    cached = replace(long, kv_cache=KVCache(), computed=tuple(range(4092, 4096)), read_only=True)
    assert taken(cached, entry) < 1200


@pytest.mark.parametrize("method", ["grad-norm", "integrated-gradients"])
def test_tokens_of_later_blocks_have_no_part_in_an_attribution(method):
    model = block_models.tiny(4)
    ids = torch.tensor([TEXT[:16], TEXT[2:18]])
    at, origins = torch.tensor([5, 9]), torch.tensor([0, 2])
    found = gradients.attribute(
        *(model, ids, torch.tensor([16, 16]), at, method, 8), origins=origins
    )
    behind = torch.arange(16) >= torch.tensor([[8], [10]])
    assert not found.scores[behind].any()
    assert (found.scores[~behind].abs() > 1e-7).all()
    (asked,) = Engine(model, batch_tokens=512).attribute([Query(TEXT[2:18], (9,), (), origin=2)])
    assert asked.token == int(found.tokens[1])
