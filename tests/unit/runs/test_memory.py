"""The memory that plans tell, against bytes that torch's profiler counts in real passes."""

import pytest
import torch
from checkpoints import write_dream, write_llada
from expert_checkpoints import write_llada2, write_llada_moe
from simulations import simulation, spread
from torch.profiler import ProfilerActivity, profile

from mdlm_probe import models
from mdlm_probe.engine import gradients
from mdlm_probe.models import LoadOptions
from mdlm_probe.models._config import cached_numbers
from mdlm_probe.models._kv_cache import KVCache
from mdlm_probe.runs import cost as estimate
from mdlm_probe.runs.plan import Job, prepare
from mdlm_probe.runs.plan_costs import PlanCosts
from mdlm_probe.runs.survey import survey

COUNT, LENGTH = 16, 64
TOKENS = COUNT * LENGTH
EXPERTS = {"hidden_size": 64, "num_experts": 16, "max_position_embeddings": 256}
KINDS = {
    "wide": (write_llada, {"hidden": 64, "intermediate": 256}),
    "narrow": (write_llada, {"hidden": 64, "intermediate": 64}),
    "few keys": (write_llada, {"hidden": 64, "intermediate": 32, "kv_heads": 1}),
    "shifted": (write_dream, {"hidden": 64, "intermediate": 192}),
    "experts": (
        write_llada_moe,
        {**EXPERTS, "expert_intermediate_size": 32, "num_experts_per_tok": 8},
    ),
    "wide experts": (
        write_llada_moe,
        {**EXPERTS, "expert_intermediate_size": 96, "num_experts_per_tok": 4},
    ),
    "shared experts": (
        write_llada2,
        {**EXPERTS, "moe_intermediate_size": 32, "head_dim": 16, "rotary_dim": 8}
        | {"num_experts_per_tok": 4, "intermediate_size": 160},
    ),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("memory")
    return {kind: write(root / kind, **sizes) for kind, (write, sizes) in KINDS.items()}


@pytest.fixture(params=KINDS)
def folder(request, folders):
    return folders[request.param]


def reload(folder, **options):
    return models.load(models.resolve(str(folder)), LoadOptions(**options))


def cost(model, batch=TOKENS, **told):
    load = LoadOptions(quantize=model.facts["quantize"])
    asked = told.pop("asked", COUNT)
    sizes = (float(TOKENS), asked, float(LENGTH), batch)
    return estimate.cost(model.entry, load, model.facts["dtype"], *sizes, **told)


def batch(model):
    ids = torch.randint(0, 200, (COUNT, LENGTH), generator=torch.Generator().manual_seed(0))
    rows = torch.arange(COUNT)
    return ids, torch.full((COUNT,), LENGTH), rows, torch.full((COUNT,), LENGTH - 1)


def peak(run):
    """Bytes that are allocated at once, at most, beyond those at the start."""
    run()  # what is made once stays out
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        result = run()
    events = (e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]")
    now, most = 0, 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    del result
    return most


def size(tensor):
    """Bytes of a tensor, packed ones by their parts."""
    if hasattr(tensor, "__tensor_flatten__"):
        return sum(size(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])
    return tensor.numel() * tensor.element_size()


# ---------------------------------------------------------------------- a pass


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_activations_of_a_batch(folder, dtype):
    model = reload(folder, dtype=dtype)
    found = peak(lambda: model.states(*batch(model)))
    assert cost(model, asked=0).work == pytest.approx(found, rel=0.1)


@pytest.mark.slow
def test_activations_grow_with_the_batch(folder):
    model = reload(folder)
    ids, lengths, *places = batch(model)
    found = peak(lambda: model.states(ids.repeat(3, 1), lengths.repeat(3), *places))
    assert cost(model, 3 * TOKENS, asked=0).work == pytest.approx(found, rel=0.1)


def test_output_rows_where_they_are_larger(tmp_path):
    model = reload(write_llada(tmp_path / "m", vocab=4096))
    ids, lengths, *_ = batch(model)
    every = torch.arange(TOKENS)
    states = model.states(ids, lengths, every // LENGTH, every % LENGTH)
    found = peak(lambda: model.logprobs(states))
    assert cost(model, asked=TOKENS).work == pytest.approx(found, rel=0.1)


# ---------------------------------------------------------------------- what stays


@pytest.mark.slow
@simulation
@pytest.mark.parametrize(
    ("kind", "dtype", "quantize"),
    spread(KINDS, ("float32", "bfloat16"), ("", "8bit", "4bit"), every=2),
)
def test_weights(folders, kind, dtype, quantize):
    model = reload(folders[kind], dtype=dtype, quantize=quantize)
    network = model.network
    found = sum(size(weight) for weight in {id(w): w for w in network.parameters()}.values())
    assert cost(model).weights == pytest.approx(found, rel=0.1)


def test_keys_and_values(folder):
    model = reload(folder)
    caches = [KVCache() for _ in range(COUNT)]
    ids, lengths, rows, positions = batch(model)
    model.states_with_cache(ids, lengths, None, rows, positions, caches)
    found = sum(size(part) for cache in caches for pair in cache.layers for part in pair)
    kept = cost(model, cached=TOKENS).work - cost(model).work
    assert kept == pytest.approx(found, rel=0.001)


@pytest.mark.parametrize("kind", ["wide", "experts", "wide experts", "shared experts"])
def test_activations_that_gradients_keep(folders, kind):
    """At most what is told, and no less than six tenths of it."""
    model = reload(folders[kind])
    weights = {weight.untyped_storage().data_ptr() for weight in model.network.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage  # alive, so that no other gets its place
        return tensor

    ids, lengths, *_ = (part[:1] for part in batch(model))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        gradients.attribute(model, ids, lengths, lengths - 1)
    found = sum(storage.nbytes() for storage in kept.values())
    assert 0.6 < found / cost(model, gradients=True).work < 1.0


@pytest.mark.slow
def test_a_plan_counts_the_keys_and_values_that_decoding_keeps():
    options = {"length": (32,), "limit": 2}
    kept, whole = (
        prepare(Job("blocks", "tiny-mdlm", {**options, "cache": cache}))
        for cache in ("prefix", "none")
    )
    costs = PlanCosts()
    more = costs.of(kept).memory - costs.of(whole).memory
    seen = survey(kept, "cpu")
    assert seen.cached == seen.batch_tokens
    assert more == seen.cached * cached_numbers(kept.entry.geometry) * 4
    assert any("keys and values of a batch, at least" in note for note in costs.notes())


def test_a_plan_counts_those_of_finished_blocks(tmp_path):
    folder = str(write_llada2(tmp_path / "m", max_position_embeddings=2048))
    seen = survey(prepare(Job("blocks", folder, {"length": (64,), "limit": 2})), "cpu")
    assert seen.cached == seen.batch_tokens
