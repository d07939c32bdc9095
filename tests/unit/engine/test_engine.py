"""The engine: order, batches, memory, numbers that are no numbers."""

import random
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from checkpoints import write_dream, write_llada, write_llama

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine import batches, gradients, limits, memory, reading
from mdlm_probe.engine.batches import pack
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.gradients import Attributed
from mdlm_probe.engine.queries import Block, Query, Readout
from mdlm_probe.engine.transfer import packed, unpacked
from mdlm_probe.models._checkpoint import Checkpoint

READOUTS = (
    Readout("top_id"),
    Readout("entropy"),
    Readout("top_logprob"),
    Readout("chosen", (3, 1, 2)),
    Readout("whole"),
)
OWN = Readout("chosen", (3,))
WRITERS = {"llada": write_llada, "dream": write_dream, "causal": write_llama}


@pytest.fixture(scope="module", params=[*WRITERS, "oracle", "oracle-causal"])
def model(request, tmp_path_factory):
    if request.param in WRITERS:
        folder = WRITERS[request.param](tmp_path_factory.mktemp("models") / request.param)
        return models.load(models.resolve(str(folder)))
    return models.load(models.resolve(request.param))


def ragged(model, count, seed):
    """Random queries of 2 to 60 tokens; masked models are asked at masks."""
    rng = random.Random(seed)
    queries = []
    for n in range(count):
        length = rng.randint(2, 60)
        ids = [rng.randrange(10, 200) for _ in range(length)]
        if model.entry.kind == "causal":
            places = rng.sample(range(1, length + 1), min(length, rng.randint(1, 4)))
        else:
            places = rng.sample(range(1, length), min(length - 1, rng.randint(1, 4)))
            for place in places:
                ids[place] = model.entry.mask_id
        readouts = READOUTS if n % 2 else (*READOUTS[:3], Readout("chosen", (n, 4)))
        queries.append(Query(tuple(ids), tuple(places), readouts, f"cell {n}"))
    return queries


@pytest.mark.slow
def test_results_do_not_depend_on_the_batch(model):
    queries = ragged(model, 24, seed=1)
    alone = [Engine(model, batch_tokens=1).ask([query])[0] for query in queries]
    for budget in (1, 70, 333, 100_000):
        together = Engine(model, batch_tokens=budget).ask(queries)
        for query, a, b in zip(queries, alone, together, strict=True):
            assert tuple(a) == tuple(b) == query.readouts
            assert {len(values) for values in b.values()} == {len(query.positions)}
            assert (a["top_id"] == b["top_id"]).all()
            assert all(np.allclose(a[name], b[name], atol=1e-5, rtol=0) for name in a)


def test_output_rows_in_turns_change_nothing(model, monkeypatch):
    queries = ragged(model, 10, seed=2)
    whole = Engine(model, batch_tokens=4096).ask(queries)
    monkeypatch.setattr(memory, "ROW_BYTES", 4 * model.vocab * 3)
    for a, b in zip(whole, Engine(model, batch_tokens=4096).ask(queries), strict=True):
        assert tuple(a) == tuple(b)
        assert all(np.allclose(a[name], b[name], atol=1e-5, rtol=0) for name in a)


def test_rows_are_distributions_without_the_mask(model):
    for query, answer in zip(
        (q for q in ragged(model, 20, seed=3) if len(q.readouts) == 5),
        Engine(model, batch_tokens=500).ask(
            [q for q in ragged(model, 20, seed=3) if len(q.readouts) == 5]
        ),
        strict=True,
    ):
        rows = np.exp(answer["whole"].astype(np.float64))
        assert rows.sum(-1) == pytest.approx(np.ones(len(query.positions)), abs=1e-5)
        if model.entry.mask_id is not None:
            assert (rows[:, model.entry.mask_id] == 0).all()
        assert answer["whole"].dtype == np.float32


class Stub:
    """A model whose every row is uniform, with planted faults."""

    def __init__(self, fits=10**9, bad_token=None, value=float("nan")):
        self.entry = Checkpoint("stub", "stub", "masked", mask_id=0, context=64)
        self.border, self.facts, self.device, self.vocab = None, {}, "cpu", 8
        self.fits, self.bad_token, self.value = fits, bad_token, value
        self.sizes = []

    def states(self, ids, lengths, rows, positions, origins=None):
        self.sizes.append(ids.numel())
        if ids.numel() > self.fits:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return ids[rows, positions - 1].float()[:, None]

    def logprobs(self, states):
        rows = torch.zeros(len(states), 8)
        rows[:, 0] = -torch.inf
        rows = rows.log_softmax(-1)
        if self.bad_token is not None:
            rows[states[:, 0] == self.bad_token, 3] = self.value
        return rows


def stub_queries(count, length=10):
    return [
        Query((1,) * (length - 2) + (n % 7 + 1, 0), (length - 1,), (Readout("entropy"),), f"c{n}")
        for n in range(count)
    ]


def test_out_of_memory_halves_the_budget_and_goes_on():
    stub = Stub(fits=25)
    engine = Engine(stub, batch_tokens=80)
    answers = engine.ask(stub_queries(16))
    assert np.allclose([a["entropy"] for a in answers], np.log(7))
    assert engine.batch_tokens <= 25
    assert all("out of memory" in e for e in engine.events)
    assert engine.tokens == 160
    stub.sizes.clear()
    engine.ask(stub_queries(16))
    assert max(stub.sizes) <= 25  # learnt for good


def test_no_memory_for_one_prompt_names_the_cell():
    with pytest.raises(
        ProbeError, match="not enough memory for one prompt of 10 tokens, in cell c0"
    ):
        Engine(Stub(fits=5), batch_tokens=80).ask(stub_queries(1))


def test_other_errors_are_not_taken_for_memory():
    stub = Stub()
    stub.states = lambda *a: (_ for _ in ()).throw(RuntimeError("shape mismatch"))
    with pytest.raises(RuntimeError, match="shape mismatch"):
        Engine(stub, batch_tokens=80).ask(stub_queries(3))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_logit_that_is_no_number_names_the_cell(value):
    with pytest.raises(ProbeError, match="finite number, in cell c4"):
        Engine(Stub(bad_token=5, value=value), batch_tokens=80).ask(stub_queries(6))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_the_masks_own_number_is_nobodys_business(value):
    stub = Stub()
    rows = stub.logprobs(torch.zeros(1, 1)).index_fill(1, torch.tensor(0), value)
    stub.logprobs = lambda states: rows.expand(len(states), -1)
    (answer,) = Engine(stub, batch_tokens=80).ask([replace(stub_queries(1)[0], readouts=(OWN,))])
    assert np.allclose(answer["chosen"], -np.log(7))


def test_numbers_whose_sum_is_none_are_numbers():
    stub = Stub(bad_token=5, value=-3e38)
    inner = stub.logprobs
    stub.logprobs = lambda states: torch.cat([rows := inner(states), rows[:, 3:4]], dim=1)
    query = replace(stub_queries(5)[4], readouts=(Readout("chosen", (3, 8)),))
    (answer,) = Engine(stub, batch_tokens=80).ask([query])
    assert np.allclose(answer["chosen"], -3e38)


def test_a_batch_may_begin_before_the_one_before_is_read():
    """As on a GPU; with a fault or too little memory in any of them."""
    for device in ("cpu", "cpu:0"):
        stub, seen = Stub(fits=25), []
        stub.device = device
        engine = Engine(stub, batch_tokens=80)
        engine.watch = seen.append
        queries = [replace(query, readouts=(OWN,)) for query in stub_queries(16)]
        readouts = [(Readout("chosen", (n % 7 + 1,)),) for n in range(16)]
        queries = [replace(q, readouts=own) for q, own in zip(queries, readouts, strict=True)]
        answers = engine.ask(queries)
        assert [tuple(answer) for answer in answers] == readouts
        assert sum(seen) == engine.tokens == 160
        assert engine.busy > 0
        faulty = Stub(bad_token=5)
        faulty.device = device
        with pytest.raises(ProbeError, match="finite number, in cell c4"):
            Engine(faulty, batch_tokens=20).ask(stub_queries(12))


def test_an_answer_keeps_nothing_of_its_batch():
    queries = [
        replace(query, readouts=(Readout("whole"),) if n == 2 else query.readouts)
        for n, query in enumerate(stub_queries(6))
    ]
    answers = Engine(Stub(), batch_tokens=80).ask(queries)
    for answer in answers:
        for values in answer.values():
            assert values.base is None
    rows = Stub().logprobs(torch.zeros(3, 1))
    owners = [(0, 9), (1, 9), (2, 9)]
    (read,) = (r for r in reading._reduced(rows, queries[1:4], owners) if r.asked.name == "whole")
    assert read.values.untyped_storage().nbytes() == rows[0].nbytes


def test_what_leaves_a_device_together_is_what_was_there():
    tensors = [
        torch.tensor([True, False, True]),
        torch.randn(3, 5),
        torch.tensor([], dtype=torch.float32).reshape(0, 3),
        torch.arange(4).view(2, 2).T,
        torch.randn(5, 2).double()[:, 1],
        torch.tensor(7, dtype=torch.int32),
    ]
    forms = [(t.shape, t.dtype) for t in tensors]
    for before, after in zip(tensors, unpacked(packed(tensors), forms), strict=True):
        assert before.dtype == after.dtype
        assert torch.equal(before, after)


def test_prompts_longer_than_the_context_are_refused_before_any_work():
    stub = Stub()
    with pytest.raises(
        ProbeError, match=r"a prompt has 65 tokens, in cell c0\nexpected: at most 64"
    ):
        Engine(stub, batch_tokens=80).ask([*stub_queries(1, 65), *stub_queries(1)])
    assert not stub.sizes


@pytest.mark.parametrize("seed", range(20))
def test_packing_is_whole_within_budget_and_even(seed):
    rng = random.Random(seed)
    lengths = sorted(rng.randint(1, 50) for _ in range(rng.randint(1, 60)))
    budget = rng.choice([10, 60, 200, 5000])
    runs = pack(lengths, budget)
    assert [i for run in runs for i in range(*run.indices(len(lengths)))] == list(
        range(len(lengths))
    )
    cost = [lengths[run][-1] * len(lengths[run]) for run in runs]
    assert all(c <= budget or len(lengths[run]) == 1 for c, run in zip(cost, runs, strict=True))
    assert len(runs) == len(batches._greedy(lengths, budget))


def test_packing_leaves_no_tiny_last_batch():
    assert [run.stop - run.start for run in pack([10] * 11, 100)] in ([6, 5], [5, 6])
    assert pack([], 10) == []


def test_prompts_of_one_length_that_fill_a_batch_go_without_padding():
    lengths = [5] * 3 + [10] * 12 + [11] * 2 + [12] * 3 + [13] * 30
    queries = [Query((1,) * length, (1,), ()) for length in reversed(lengths)]
    padded = {}
    for kind in ("masked", "causal"):
        order, runs = batches.spans(queries, 100, Checkpoint("stub", "stub", kind))
        cut = [[len(queries[i].ids) for i in order[run]] for run in reversed(runs)]
        assert [length for run in cut for length in run] == lengths
        assert all(run[-1] * len(run) <= 100 for run in cut)
        padded[kind] = [run for run in cut if run[0] != run[-1]]
    assert padded["masked"] == [[11, 11, 12, 12, 12]]
    assert len(padded["causal"]) > 1  # attention never looks right: padding is no matter


def test_batch_tokens_are_found_by_real_forwards():
    found = memory.find_batch_tokens(models.load(models.resolve("oracle")))
    assert found >= 1024
    assert found & (found - 1) == 0


def test_batch_tokens_follow_the_memory_that_is_free(monkeypatch):
    model = Stub()
    model.entry = Checkpoint("stub", "stub", "masked", mask_id=0, context=64)
    monkeypatch.setattr(memory, "_peak", lambda model, tokens, run: tokens * 1000)
    monkeypatch.setattr(memory, "_free", lambda device: 2 * memory.ROW_BYTES + 2_000_000)
    assert memory.find_batch_tokens(model) == 1024  # the power of two under .6 * 2000
    monkeypatch.setattr(memory, "_free", lambda device: 0)
    assert memory.find_batch_tokens(model) == memory.SMALLEST
    model.entry = Checkpoint("stub", "stub", "masked", mask_id=0, context=131072)
    monkeypatch.setattr(memory, "_free", lambda device: 2 * memory.ROW_BYTES + 2_000_000)
    assert memory.find_batch_tokens(model) == 1024  # a long context needs no large budget

    def full(model, tokens, run):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(memory, "_peak", full)
    assert memory.find_batch_tokens(model) == memory.SMALLEST


# ---------------------------------------------------------------------- blocks


def blocked(model, count, seed):
    """Queries that compare their first and last position, and mix all of them."""
    found = []
    for query in ragged(model, count, seed):
        last = len(query.positions) - 1
        pair = Block("divergences", (0, last), (((0, 1),), 1 << 20))
        blocks = (Block("mean", tuple(range(last + 1))), pair)
        found.append(replace(query, readouts=(Readout("whole"),), blocks=blocks))
    return found


@pytest.mark.slow
def test_blocks_reduce_the_rows_of_their_own_query(model, monkeypatch):
    queries = blocked(model, 20, seed=4)
    for budget, row_bytes in ((1, memory.ROW_BYTES), (333, 4 * model.vocab * 4), (100_000, 10**9)):
        monkeypatch.setattr(memory, "ROW_BYTES", row_bytes)
        answers = Engine(model, batch_tokens=budget).ask(queries)
        for query, answer in zip(queries, answers, strict=True):
            rows, mean, pair = answer["whole"], answer["mean"], answer["divergences"]
            assert rows.shape == (len(query.positions), model.vocab)
            shares = np.exp(rows.astype(float))
            assert np.allclose(mean, shares.mean(axis=0), atol=1e-5, rtol=0)
            tv = np.abs(shares[0] - shares[-1]).sum() / 2
            assert pair.shape == (1, 2)
            assert pair[0, 1] == pytest.approx(tv, abs=1e-5)


def test_blocks_of_more_rows_than_there_is_room_for_name_the_cell(model, monkeypatch):
    monkeypatch.setattr(limits, "ROW_BYTES", 4 * model.vocab * 2)
    query = next(q for q in blocked(model, 20, seed=4) if len(q.positions) > 2)
    with pytest.raises(
        ProbeError, match=rf"distributions of .* MiB together, in cell {query.name}"
    ):
        Engine(model, batch_tokens=100).ask([query])


def test_a_query_may_ask_blocks_only(model):
    query = replace(blocked(model, 1, seed=4)[0], readouts=())
    (answer,) = Engine(model, batch_tokens=100).ask([query])
    assert answer["mean"].sum() == pytest.approx(1, abs=1e-5)
    assert answer["divergences"].shape == (1, 2)


# ---------------------------------------------------------------------- gradients


@pytest.fixture(scope="module", params=WRITERS)
def network(request, tmp_path_factory):
    folder = WRITERS[request.param](tmp_path_factory.mktemp("networks") / request.param)
    return models.load(models.resolve(str(folder)))


def single(queries):
    return [replace(query, positions=query.positions[:1]) for query in queries]


@pytest.mark.parametrize("method", ["grad-norm", "input-x-gradient", "integrated-gradients"])
@pytest.mark.slow
def test_attributions_do_not_depend_on_the_batch(network, method, monkeypatch):
    monkeypatch.setattr(memory, "find_batch_tokens", lambda model, run: 100_000)
    queries = single(ragged(network, 8, seed=5))
    one = Engine(network, batch_tokens=1)
    alone = [one.attribute([query], method, 8)[0] for query in queries]
    for budget in (70, 100_000):
        engine = Engine(network, batch_tokens=budget)
        for query, a, b in zip(queries, alone, engine.attribute(queries, method, 8), strict=True):
            assert a.token == b.token
            assert a.logit == pytest.approx(b.logit, rel=1e-5)
            assert a.scores.dtype == b.scores.dtype == np.float32
            assert a.scores.shape == b.scores.shape == (len(query.ids),)
            scale = np.abs(a.scores).max()
            assert np.allclose(a.scores, b.scores, atol=1e-5 * scale, rtol=0)
            assert (a.gap is None) == (method != "integrated-gradients")
        assert engine.tokens == sum(len(query.ids) for query in queries)
        assert engine.busy > 0


def test_attributions_explain_what_ask_predicts(network):
    queries = single(ragged(network, 8, seed=6))
    engine = Engine(network, batch_tokens=300)
    for answer, found in zip(engine.ask(queries), engine.attribute(queries), strict=True):
        assert int(answer["top_id"][0]) == found.token


def planted(fits, bad=-1):
    """Attributions that need as much memory as planted: 10 times less with checkpoints."""

    def attribute(model, ids, lengths, positions, method, ig_steps, checkpointing, origins):
        attribute.sizes.append((ids.numel(), checkpointing))
        if ids.numel() > fits * (10 if checkpointing else 1):
            raise torch.OutOfMemoryError("CUDA out of memory")
        logits = ids[torch.arange(len(ids)), positions - 1].float()
        scores = torch.where(logits == bad, torch.nan, 1.0)[:, None] * ids
        return Attributed(scores, positions, logits)

    attribute.sizes = []
    return attribute


@pytest.fixture
def gradient_stub(monkeypatch):
    """An engine over a stub whose gradients are planted."""

    def make(attribute, found=1024):
        monkeypatch.setattr(gradients, "attribute", attribute)
        monkeypatch.setattr(gradients, "check", lambda model: None)
        monkeypatch.setattr(memory, "find_batch_tokens", lambda model, run: found)
        return Engine(Stub(), batch_tokens=80)

    return make


def test_gradients_out_of_memory_halve_their_own_budget(gradient_stub):
    attribute = planted(fits=25)
    engine = gradient_stub(attribute)
    found = engine.attribute(stub_queries(16))
    assert [f.logit for f in found] == [n % 7 + 1 for n in range(16)]
    assert engine.batch_tokens == 80
    assert all("batch tokens of gradients halved" in event for event in engine.events)
    attribute.sizes.clear()
    engine.attribute(stub_queries(16))
    assert max(size for size, _ in attribute.sizes) <= 25
    assert not any(checkpointing for _, checkpointing in attribute.sizes)


def test_gradients_of_one_prompt_that_does_not_fit_are_checkpointed(gradient_stub):
    attribute = planted(fits=5)
    engine = gradient_stub(attribute)
    assert len(engine.attribute(stub_queries(3))) == 3
    assert engine.events[-1] == (
        "gradients with activation checkpointing: out of memory with a prompt of 10 tokens"
    )
    attribute.sizes.clear()
    engine.attribute(stub_queries(3))
    assert all(checkpointing for _, checkpointing in attribute.sizes)
    with pytest.raises(ProbeError, match="not enough memory for one prompt of 10 tokens"):
        gradient_stub(planted(fits=0.5)).attribute(stub_queries(1))


def test_gradients_are_checkpointed_where_a_long_prompt_would_not_fit(gradient_stub):
    attribute = planted(fits=1000)
    engine = gradient_stub(attribute, found=32)
    engine.attribute(stub_queries(16))
    assert engine.events == [
        "gradients with activation checkpointing: there is memory for 32 of 64 tokens"
    ]
    assert {checkpointing for _, checkpointing in attribute.sizes} == {True}
    assert max(size for size, _ in attribute.sizes) <= 32  # no more than what was found


def test_gradients_need_no_larger_batches_than_forward_passes(gradient_stub):
    attribute = planted(fits=1000)
    gradient_stub(attribute, found=4096).attribute(stub_queries(16))
    assert max(size for size, _ in attribute.sizes) == 80


def test_a_gradient_that_is_no_number_names_the_cell(gradient_stub):
    with pytest.raises(ProbeError, match="a gradient that is no finite number, in cell c4"):
        gradient_stub(planted(fits=1000, bad=5)).attribute(stub_queries(6))


def test_long_prompts_have_no_gradients_either(gradient_stub):
    with pytest.raises(ProbeError, match="a prompt has 65 tokens"):
        gradient_stub(planted(fits=1000)).attribute(stub_queries(1, 65))


@pytest.mark.slow
def test_gradient_batches_are_found_by_real_passes():
    network = models.load(models.resolve("tiny-mdlm"))
    for checkpointing in (False, True):
        run = partial(memory.gradient_pass, checkpointing=checkpointing)
        found = memory.find_batch_tokens(network, run)
        assert found >= 512
        assert found & (found - 1) == 0
    assert Engine(network).events == []


@pytest.mark.parametrize("name", ["oracle", "oracle-causal"])
def test_oracles_have_no_gradients(name):
    engine = Engine(models.load(models.resolve(name)), batch_tokens=80)
    with pytest.raises(ProbeError, match="no gradients"):
        engine.attribute(single(ragged(engine.model, 1, seed=7)))


@pytest.mark.gpu
def test_cuda_gives_the_cpu_answers(tmp_path):
    folder = str(write_llada(tmp_path / "m"))
    options = models.LoadOptions(dtype="float32", device="cpu")
    on_cpu = models.load(models.resolve(folder), options)
    on_gpu = models.load(models.resolve(folder), models.LoadOptions("float32", "cuda"))
    queries = ragged(on_cpu, 20, seed=4)
    for a, b in zip(Engine(on_cpu).ask(queries), Engine(on_gpu).ask(queries), strict=True):
        assert np.allclose(a["top_logprob"], b["top_logprob"], atol=1e-3)


def test_a_restored_gradient_budget_is_no_larger_than_asked_now():
    model = models.load(models.resolve("tiny-mdlm"))
    found = {"tokens": 8192, "gradients": True, "checkpointing": True}
    engine = Engine(model, batch_tokens=512, gradients=found)
    assert engine.budgets["gradients"] == {**found, "tokens": 512}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_follows_a_causal_answer_never_goes_through_the_network(tmp_path, dtype):
    """Queries that only differ in it are one pass, and their answers the same in every digit."""
    folder = write_llama(tmp_path / "causal")
    model = models.load(models.resolve(str(folder)), models.LoadOptions(dtype=dtype))
    engine, prompt = Engine(model, batch_tokens=512), tuple(range(10, 30))
    tails = [(), (7,), (8,) * 30]
    asked = [Query(prompt + tail, (20, 5), READOUTS, f"{len(tail)}") for tail in tails]
    found = engine.ask([*asked, replace(asked[0], positions=(19,))])
    assert engine.tokens == 20 + 19
    for answer in found[1:3]:
        for readout in READOUTS:
            assert (answer[readout] == found[0][readout]).all()
    assert found[3]["top_logprob"].shape == (1,)


def test_masked_queries_are_asked_as_they_stand(tmp_path):
    model = models.load(models.resolve("tiny-mdlm"))
    engine = Engine(model, batch_tokens=512)
    query = Query((*range(10, 20), model.entry.mask, 12, 13), (10,), READOUTS, "cell")
    engine.ask([query, query])
    assert engine.tokens == 2 * 13


def test_a_causal_query_is_too_long_whatever_it_asks():
    engine = Engine(models.load(models.resolve("tiny-arlm")), batch_tokens=512)
    query = Query((5,) * (engine.entry.context + 1), (3,), READOUTS, "cell")
    with pytest.raises(ProbeError, match="a prompt has"):
        engine.ask([query])
