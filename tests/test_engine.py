"""The engine: order, batches, memory, numbers that are no numbers."""

import random

import numpy as np
import pytest
import torch
from checkpoints import bpe, write_dream, write_llada, write_llama

from mdlm_probe import engine as engine_room
from mdlm_probe import models
from mdlm_probe.engine import Counter, Engine, pack
from mdlm_probe.errors import ProbeError
from mdlm_probe.models._base import Entry
from mdlm_probe.models._text import Border
from mdlm_probe.queries import Query, Readout

READOUTS = (
    Readout("top_id"),
    Readout("entropy"),
    Readout("top_logprob"),
    Readout("chosen", (3, 1, 2)),
    Readout("whole"),
)
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


def test_results_do_not_depend_on_the_batch(model):
    queries = ragged(model, 40, seed=1)
    alone = [Engine(model, batch_tokens=1).ask([query])[0] for query in queries]
    for budget in (1, 70, 333, 100_000):
        together = Engine(model, batch_tokens=budget).ask(queries)
        for query, a, b in zip(queries, alone, together, strict=True):
            assert [x.shape[0] for x in b] == [len(query.positions)] * len(query.readouts)
            assert (a[0] == b[0]).all()
            for x, y in zip(a[1:], b[1:], strict=True):
                assert np.allclose(x, y, atol=1e-5, rtol=0)


def test_output_rows_in_turns_change_nothing(model, monkeypatch):
    queries = ragged(model, 10, seed=2)
    whole = Engine(model, batch_tokens=4096).ask(queries)
    monkeypatch.setattr(engine_room, "ROW_BYTES", 4 * model.vocab * 3)
    for a, b in zip(whole, Engine(model, batch_tokens=4096).ask(queries), strict=True):
        assert all(np.allclose(x, y, atol=1e-5, rtol=0) for x, y in zip(a, b, strict=True))


def test_rows_are_distributions_without_the_mask(model):
    for query, answer in zip(
        (q for q in ragged(model, 20, seed=3) if len(q.readouts) == 5),
        Engine(model, batch_tokens=500).ask(
            [q for q in ragged(model, 20, seed=3) if len(q.readouts) == 5]
        ),
        strict=True,
    ):
        rows = np.exp(answer[4].astype(np.float64))
        assert rows.sum(-1) == pytest.approx(np.ones(len(query.positions)), abs=1e-5)
        if model.entry.mask_id is not None:
            assert (rows[:, model.entry.mask_id] == 0).all()
        assert answer[4].dtype == np.float32


class Stub:
    """A model whose every row is uniform, with planted faults."""

    def __init__(self, fits=10**9, bad_token=None, value=float("nan")):
        self.entry = Entry("stub", "stub", "masked", mask_id=0, context=64)
        self.border, self.facts, self.device, self.vocab = None, {}, "cpu", 8
        self.fits, self.bad_token, self.value = fits, bad_token, value
        self.sizes = []

    def states(self, ids, lengths, rows, positions):
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
    assert np.allclose([a[0] for a in answers], np.log(7))
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


def test_prompts_longer_than_the_context_are_refused_before_any_work():
    stub = Stub()
    with pytest.raises(
        ProbeError, match=r"a prompt has 65 tokens, in cell c0\nexpected: at most 64"
    ):
        Engine(stub, batch_tokens=80).ask([*stub_queries(1, 65), *stub_queries(1)])
    assert not stub.sizes


def test_counter_counts_and_checks():
    counter = Counter(Stub().entry, Border(bpe(), Stub().entry))
    assert counter.ask(stub_queries(3)) == []
    assert (counter.lengths, counter.asked) == ([10, 10, 10], 3)
    with pytest.raises(ProbeError, match="65 tokens"):
        counter.ask(stub_queries(1, 65))


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
    assert len(runs) == len(engine_room._greedy(lengths, budget))


def test_packing_leaves_no_tiny_last_batch():
    assert [run.stop - run.start for run in pack([10] * 11, 100)] in ([6, 5], [5, 6])
    assert pack([], 10) == []


def test_batch_tokens_are_found_by_real_forwards():
    found = engine_room.find_batch_tokens(models.load(models.resolve("oracle")))
    assert found >= 1024
    assert found & (found - 1) == 0


def test_batch_tokens_follow_the_memory_that_is_free(monkeypatch):
    model = Stub()
    model.entry = Entry("stub", "stub", "masked", mask_id=0, context=64)
    monkeypatch.setattr(engine_room, "_peak", lambda model, tokens: tokens * 1000)
    monkeypatch.setattr(engine_room, "_free", lambda device: 2 * engine_room.ROW_BYTES + 2_000_000)
    assert engine_room.find_batch_tokens(model) == 1024  # the power of two under .6 * 2000
    monkeypatch.setattr(engine_room, "_free", lambda device: 0)
    assert engine_room.find_batch_tokens(model) == engine_room.SMALLEST
    model.entry = Entry("stub", "stub", "masked", mask_id=0, context=131072)
    monkeypatch.setattr(engine_room, "_free", lambda device: 2 * engine_room.ROW_BYTES + 2_000_000)
    assert engine_room.find_batch_tokens(model) == 1024  # a long context needs no large budget

    def full(model, tokens):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(engine_room, "_peak", full)
    assert engine_room.find_batch_tokens(model) == engine_room.SMALLEST


@pytest.mark.gpu
def test_cuda_gives_the_cpu_answers(tmp_path):
    folder = str(write_llada(tmp_path / "m"))
    options = models.LoadOptions(dtype="float32", device="cpu")
    on_cpu = models.load(models.resolve(folder), options)
    on_gpu = models.load(models.resolve(folder), models.LoadOptions("float32", "cuda"))
    queries = ragged(on_cpu, 20, seed=4)
    for a, b in zip(Engine(on_cpu).ask(queries), Engine(on_gpu).ask(queries), strict=True):
        assert np.allclose(a[2], b[2], atol=1e-3)
