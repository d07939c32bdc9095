"""Likelihoods under block-causal models: against joints, a closed form, and every exact way."""

import itertools
import math
from dataclasses import replace

import block_models
import numpy as np
import pytest
import torch
from oracles import MASK, TOKENS, Letters, Sharpened, chain, joint
from simulations import repeats, simulation, spread, tolerance

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.harness import continuation_scores
from mdlm_probe.harness.continuation_scores import Choices
from mdlm_probe.likelihood import block_passes, estimators, item_passes
from mdlm_probe.likelihood.greedy import is_greedy
from mdlm_probe.likelihood.items import Item
from mdlm_probe.likelihood.parts import parts_of
from mdlm_probe.likelihood.settings import Settings
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.models.oracle_block import BlockOracle

PROMPT = (0, 2)
TEXT = (1, 3, 0, 2, 1, 1, 3, 2, 0, 3)


def engine(seed, block, broken=None, **entry):
    told = Checkpoint("o", "oracle_block", "masked", mask_id=MASK, context=64, block=block)
    told = replace(told, eos_ids=(3,), **entry)
    found = BlockOracle(told, Letters(told), chain(seed), range(TOKENS), MASK + 1, smoothing=0.0)
    return Engine(broken(found) if broken else found, batch_tokens=4096)


def item(length, seed=0):
    return Item(PROMPT + TEXT[:length], len(PROMPT), "q", seed)


def one(asker, asked, **settings):
    (found,) = estimators.estimate(asker, [asked], Settings(**settings))
    return found


# ---------------------------------------------------------------------- what the parts are


def entry_of(block, **more):
    return Checkpoint("m", "f", "masked", mask_id=9, context=64, block=block, **more)


def test_parts_are_blocks_and_the_prompts_tail_is_clean():
    parts = parts_of(Item(tuple(range(10, 23)), 6), entry_of(4), "mask")
    assert [part.places for part in parts] == [(6, 7), (8, 9, 10, 11), (12,)]
    assert [part.begin for part in parts] == [4, 8, 12]
    assert [len(part.ids) for part in parts] == [8, 12, 16]
    assert parts[0].masked(parts[0].places, 9) == (10, 11, 12, 13, 14, 15, 9, 9)
    assert parts[2].ids[12:] == (22, 9, 9, 9)
    assert {part.read for part in parts} == {None}


@pytest.mark.parametrize(("fill", "behind"), [("mask", (9, 9, 9)), ("eos", (7,) * 3), ("cut", ())])
def test_what_stands_behind_the_continuation(fill, behind):
    entry = entry_of(4, eos_ids=(7, 8))
    assert parts_of(Item((1, 2, 3, 4, 5), 2), entry, fill)[-1].ids == (1, 2, 3, 4, 5, *behind)
    assert parts_of(Item((1, 2, 3, 4), 2), entry, fill)[-1].ids == (1, 2, 3, 4)
    short = replace(entry, context=6)
    assert parts_of(Item((1, 2, 3, 4, 5), 2), short, fill)[-1].ids[5:] == behind[:1]


def test_blocks_that_begin_behind_the_prompt_and_those_with_a_shift():
    ids = tuple(range(10, 23))
    behind = parts_of(Item(ids, 6), entry_of(4, origin="prompt"), "mask")
    assert [part.places for part in behind] == [(6, 7, 8, 9), (10, 11, 12)]
    shifted = parts_of(Item(ids, 6), entry_of(4, shift=1), "mask")
    assert [part.places for part in shifted] == [(6, 7), (9, 10, 11), ()]
    assert [part.read for part in shifted] == [None, 8, 12]


def test_without_blocks_all_is_one_part():
    whole = Item(tuple(range(10, 23)), 6)
    (part,) = parts_of(whole, entry_of(0), "mask")
    assert (part.ids, part.places) == (whole.ids, tuple(range(6, 13)))


def test_ends_of_text_are_wanted_of_a_model_that_has_none():
    with pytest.raises(ProbeError, match="no token that ends a text") as caught:
        parts_of(Item((1, 2, 3), 1), entry_of(4), "eos")
    assert caught.value.option == "fill"


# ---------------------------------------------------------------------- exact


ORDERS = ("left_to_right", "right_to_left", "best_first")


@simulation
@pytest.mark.slow
@pytest.mark.parametrize(
    ("block", "more", "order"),
    spread((1, 2, 3, 4), ({}, {"shift": 1}, {"origin": "prompt"}), ORDERS, every=3),
    ids=str,
)
def test_the_chain_rule_within_blocks_is_the_joint(block, more, order):
    for seed, length in ((0, 5), (1, 6)):
        exact = np.log(joint(seed, PROMPT, length)[TEXT[:length]])
        found = one(engine(seed, block, **more), item(length), order=order)
        assert found.logp == pytest.approx(exact, abs=1e-5)
        assert (found.se, found.passes, found.estimator) == (0, length, "block-exact-chain")


@pytest.mark.parametrize("estimator", ["auto", "exact-chain", "mc", "pseudo"])
def test_one_token_is_exact_in_one_pass(estimator):
    exact = np.log(joint(2, PROMPT, 1)[TEXT[0]])
    for more in ({}, {"shift": 1}):
        found = one(engine(2, 2, **more), item(1), estimator=estimator)
        assert found.logp == pytest.approx(exact, abs=1e-5)
        assert (found.se, found.passes) == (0, 1)


def test_orders_differ_where_there_is_no_joint():
    found = [
        one(engine(0, 3, Sharpened), item(6), order=order).logp
        for order in ("left_to_right", "right_to_left")
    ]
    assert abs(found[0] - found[1]) > 0.01


# ---------------------------------------------------------------------- the bound


def sums(seed, prompt, text):
    """Of every masked set of a block, the sum of its log-probabilities, by the joint, sharpened."""
    table = joint(seed, prompt, len(text))
    found = {}
    for count in range(1, len(text) + 1):
        for places in itertools.combinations(range(len(text)), count):
            index = tuple(
                slice(None) if i in places else slice(t, t + 1) for i, t in enumerate(text)
            )
            part, total = table[index], 0.0
            for i in places:
                row = part.sum(tuple(j for j in range(len(text)) if j != i)) ** 1.5
                total += math.log(row[text[i]] / row.sum())
            found[places] = total
    return found


def bound(seed, length, block):
    """E over k = 1..m of the mean over sets of size k of m/k times their sum, block by block."""
    at, total = len(PROMPT), 0.0
    ids = PROMPT + TEXT[:length]
    while at < len(ids):
        end = min((at // block + 1) * block, len(ids))
        own = sums(seed, ids[:at], ids[at:end])
        m = end - at
        sizes = [[v for s, v in own.items() if len(s) == k] for k in range(1, m + 1)]
        total += np.mean([m / k * np.mean(values) for k, values in enumerate(sizes, 1)])
        at = end
    return total


@pytest.mark.parametrize("block", [2, 3, 4])
@pytest.mark.parametrize("fill", ["mask", "cut"])
def test_where_all_sets_fit_the_bound_is_its_closed_form(block, fill):
    found = one(engine(2, block, Sharpened), item(7), estimator="mc", fill=fill)
    assert found.logp == pytest.approx(bound(2, 7, block), abs=1e-5)
    assert (found.se, found.estimator) == (0, "block-mc")
    assert found.passes == sum(
        2 ** len(part.places) - 1 for part in parts_of(item(7), engine(2, block).entry, fill)
    )
    chained = one(engine(2, block, Sharpened), item(7)).logp
    assert abs(chained - found.logp) > 1e-3, "bound and chain differ here"


def test_what_fills_the_last_block_moves_values():
    values = {
        fill: one(engine(2, 4, Sharpened), item(4), fill=fill).logp
        for fill in ("mask", "eos", "cut")
    }
    assert values["mask"] == pytest.approx(values["cut"], abs=1e-6)  # masks tell an oracle nothing
    assert abs(values["eos"] - values["cut"]) > 1e-3


@pytest.mark.slow
@simulation
@pytest.mark.parametrize(
    ("block", "estimator", "draws"), [(10, "mc", 16), (9, "mc", 17), (4, "bernoulli", 16)]
)
def test_the_mean_over_seeds_is_the_bound_and_errors_are_its_spread(block, estimator, draws):
    length = 10 if estimator == "mc" else 6
    expected = bound(2, length, block)
    items = [item(length, seed) for seed in range(repeats(300))]
    settings = Settings(estimator, draws=draws)
    found = estimators.estimate(engine(2, block, Sharpened), items, settings)
    values, errors = np.array([(e.logp, e.se) for e in found]).T
    assert values.std() > 0.01, "something is drawn"
    assert abs(values.mean() - expected) < 3 * values.std(ddof=1) / len(items) ** 0.5
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(values.std(), rel=tolerance(0.15))
    assert {e.estimator for e in found} == {f"block-{estimator}"}


def test_blocks_are_drawn_independently():
    """Two blocks of the same tokens have different draws: their errors don't add up."""
    asker = engine(2, 8, Sharpened)
    ids = (0,) * 8 + (1, 3, 0, 2, 1, 1, 3, 2) * 2
    passes = item_passes.ItemPasses(asker, Item(ids, 8), Settings("mc", draws=16), {})
    first, second = estimators._samples(passes, Settings("mc", draws=16), 0).parts
    assert [one.places for one in first.more(16)] != [one.places for one in second.more(16)]


def test_a_shifted_models_first_tokens_are_exact_and_the_rest_a_bound():
    asker = engine(2, 4, Sharpened, shift=1)
    found = one(asker, item(10), estimator="mc")
    ends = (Readout("chosen", (TEXT[2],)), Readout("chosen", (TEXT[6],)))
    (first,) = asker.ask([Query((*PROMPT, *TEXT[:2], MASK), (4,), ends[:1])])
    # blocks: 2, 3 | 4, 5-7 | 8, 9-11: with the first clean, the others' sets are enumerated
    assert found.passes == 3 + (1 + 7) + (1 + 7)
    by_hand = first["chosen"][0, 0]
    parts = parts_of(item(10), asker.entry, "mask")
    assert [part.read for part in parts] == [None, 4, 8]
    for part in parts:
        m = len(part.places)
        for k in range(1, m + 1):
            for places in itertools.combinations(part.places, k):
                query = Query(part.masked(places, MASK), places, (Readout("whole"),))
                (answer,) = asker.ask([query])
                rows = zip(answer["whole"], places, strict=True)
                total = sum(row[part.ids[place]] for row, place in rows)
                by_hand += total / k / math.comb(m, k)
    last = Query((*PROMPT, *TEXT[:6], MASK), (8,), ends[1:])
    (answer,) = asker.ask([last])
    assert found.logp == pytest.approx(by_hand + answer["chosen"][0, 0], abs=1e-5)


def test_rounds_end_when_an_item_is_precise_enough():
    asker = engine(2, 10, Sharpened)
    items = [item(10, seed) for seed in range(10)]
    full = estimators.estimate(asker, items, Settings("mc", draws=64))
    target = 1.5 * np.mean([e.se for e in full])
    early = estimators.estimate(asker, items, Settings("mc", draws=64, target_se=target))
    assert np.mean([e.passes for e in early]) < np.mean([e.passes for e in full])
    assert all(e.se <= target for e in early if e.passes < full[0].passes)


# ---------------------------------------------------------------------- ways, on a network


LONG = tuple(int(i) for i in np.random.default_rng(0).integers(10, 60, 45))
WAYS = ("whole", "beside", "cached")


@pytest.fixture(scope="module", params=[0, 1], ids=["same-row", "shifted"])
def network(request):
    return block_models.tiny(4, shift=request.param, dtype=torch.float32)


def forced(monkeypatch, way):
    """Every item with a finished block is asked about that way."""
    real = block_passes.counts
    monkeypatch.setattr(
        block_passes,
        "counts",
        lambda *given: {k: int(k != way) for k in real(*given)},
    )


class Counting(Engine):
    """Counts the kinds of what it is asked."""

    def ask(self, queries):
        self.kinds = getattr(self, "kinds", set())
        for query in queries:
            kind = "cached" if query.kv_cache else "beside" if query.clean else "whole"
            self.kinds.add(kind)
        return super().ask(queries)


@pytest.mark.slow
@pytest.mark.parametrize("origin", ["start", "prompt"])
@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(order="best_first", fill="eos"),
        Settings("mc", draws=8, fill="cut"),
        Settings("mc", draws=32, target_se=0.01),
        Settings("pseudo"),
        Settings("bernoulli", draws=6),
    ],
    ids=str,
)
def test_all_ways_give_the_same(network, settings, origin, monkeypatch):
    network.entry = replace(network.entry, origin=origin)
    items = [
        Item(LONG[:length], first, "q", seed)
        for seed, (length, first) in enumerate([(45, 30), (33, 31), (44, 1), (6, 5), (37, 30)])
    ]
    found = {}
    for way in WAYS:
        with monkeypatch.context() as patch:
            forced(patch, way)
            asker = Counting(network, batch_tokens=512)
            found[way] = estimators.estimate(asker, items, settings)
            assert way in asker.kinds
            assert asker.kinds <= {way, "whole"}
    for way in WAYS[1:]:
        for ours, usual in zip(found[way], found["whole"], strict=True):
            assert ours.logp == pytest.approx(usual.logp, abs=2e-5 * len(LONG))
            assert (ours.passes, ours.estimator) == (usual.passes, usual.estimator)
            assert ours.se == pytest.approx(usual.se, abs=1e-4)


def test_an_item_does_not_depend_on_its_company(network):
    items = [Item(LONG[:n], first, "q", n) for n, first in ((45, 30), (41, 30), (38, 29), (12, 3))]
    for settings in (Settings(), Settings("mc", draws=8)):
        alone = [one(Engine(network, batch_tokens=64), i, **_dict(settings)) for i in items]
        together = estimators.estimate(Engine(network, batch_tokens=4096), items, settings)
        for first, second in zip(alone, together, strict=True):
            assert second.logp == pytest.approx(first.logp, abs=1e-4)


def _dict(settings):
    return {name: getattr(settings, name) for name in Settings.__slots__}


def test_the_cheapest_way_is_taken_by_counted_tokens():
    parts = parts_of(Item(LONG, 30), entry_of(4), "mask")
    sizes = [len(part.ids) - part.begin for part in parts]
    assert (sizes, parts[-1].begin) == ([4] * 5, 44)
    found = block_passes.counts(parts, [3] * 5)
    assert found == {
        "whole": 3 * sum(len(part.ids) for part in parts),
        "beside": 3 * (20 + 44),
        "cached": 3 * 20 + 44,
    }

    def way(item, passes, room=10**6, keeps=True):
        asker = block_models.tiny(4)
        stub = Engine(asker, batch_tokens=64, kv_cache_tokens=room)
        if not keeps:
            stub.model = object()
        own = parts_of(item, asker.entry, "mask")
        return type(block_passes.cheapest(stub, item, own, [passes] * len(own), {})).__name__

    assert way(Item(LONG, 30), 3) == "Cached"
    assert way(Item(LONG, 30), 3, room=20) == "Beside"
    assert way(Item(LONG, 30), 3, keeps=False) == "Whole"
    assert way(Item(LONG, 30), 1) == "Beside"
    assert way(Item(LONG[:33], 32), 1) == "Whole"
    assert way(Item(LONG[:3], 1), 5) == "Whole"


def test_choices_share_their_context(network):
    context = LONG[:32]
    items = [Item((*context, *end), 32) for end in ((1, 2), (3, 4, 5), (6, 7, 8, 9, 10))]
    asker = Engine(network, batch_tokens=4096)
    estimators.rank(asker, [items])
    shared = asker.tokens
    separate = Engine(network, batch_tokens=4096)
    for one_item in items:
        estimators.rank(separate, [[one_item]])
    # the context twice, and the first pass of two choices: a block of masks, or its first token
    # and the one before
    assert separate.tokens - shared == 2 * 32 + (2 if network.shift else 4)


def test_items_wait_for_memory_to_keep_their_contexts(network):
    items = [Item(LONG[n : n + 30], 20, "q", n) for n in range(6)]
    usual = estimators.estimate(Engine(network, batch_tokens=512), items, Settings())
    small = Engine(network, batch_tokens=512, kv_cache_tokens=60)
    runs = list(estimators._together(small, [[i] for i in items], Settings()))
    assert len(runs) > 1
    for first, second in zip(estimators.estimate(small, items, Settings()), usual, strict=True):
        assert first.logp == pytest.approx(second.logp, abs=1e-4)


def test_queries_of_many_blocks_are_written_out_in_turns(network, monkeypatch):
    asked = Item(LONG, 2)
    usual = one(Engine(network, batch_tokens=512), asked)
    monkeypatch.setattr(item_passes, "AT_ONCE", 100)
    assert one(Engine(network, batch_tokens=512), asked).logp == pytest.approx(usual.logp, abs=1e-4)


# ---------------------------------------------------------------------- greedy


def written(model, context, length, fill):
    """What whole passes write from left to right, one token a pass, the block's rest masks."""
    asker, entry = Engine(model, batch_tokens=512), model.entry
    origin, ids = entry.origin_after(len(context)), list(context)
    total = len(context) + length
    while len(ids) < total:
        _, end = entry.block_span(len(ids), origin)
        masks = [entry.mask] * (min(end, total) - len(ids))
        behind = {"mask": [entry.mask], "eos": [entry.eos_ids[0]], "cut": []}[fill]
        text = tuple(ids + masks + behind * (end - min(end, total)))
        (answer,) = asker.ask([Query(text, (len(ids),), (Readout("top_id"),), origin=origin)])
        ids.append(int(answer["top_id"][0]))
    return ids[len(context) :]


@pytest.mark.slow
@pytest.mark.parametrize("origin", ["start", "prompt"])
@pytest.mark.parametrize("fill", ["mask", "eos", "cut"])
def test_greedy_is_what_decoding_writes(network, fill, origin):
    network.entry = replace(network.entry, origin=origin)
    context, items, expected = LONG[:22], [], []
    for length in (1, 7):
        text = written(network, context, length, fill)
        for at in [None, *range(length)]:
            changed = [t if i != at else (t + 1) % 60 for i, t in enumerate(text)]
            items.append(Item((*context, *changed), 22))
            expected.append(at is None)
    assert is_greedy(Engine(network, batch_tokens=512), items, fill) == expected
    both = Choices(items, [1.0] * len(items))
    (scored,) = continuation_scores.score(Settings(fill=fill), Engine(network), [both])
    assert [found.greedy for found in scored] == expected


def test_greedy_flags_cost_nothing_beside_the_chain_rule(network):
    text = written(network, LONG[:22], 7, "mask")
    asked = Item((*LONG[:22], *text), 22)
    alone, beside = Engine(network, batch_tokens=512), Engine(network, batch_tokens=512)
    estimators.estimate(alone, [asked], Settings())
    ((scored,),) = continuation_scores.score(Settings(), beside, [Choices([asked], [1.0])])
    assert scored.greedy
    assert beside.tokens == alone.tokens
