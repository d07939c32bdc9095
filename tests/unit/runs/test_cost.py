"""Costs from geometry, against counting by hand; and the machine's facts."""

import math

import pytest
import torch

from mdlm_probe import models
from mdlm_probe.core import machine
from mdlm_probe.engine import gradients
from mdlm_probe.models._checkpoint import Checkpoint, LoadOptions
from mdlm_probe.runs import cost as estimate


def test_llada_8b_by_hand():
    entry = models.resolve("llada-8b")
    body = 32 * (4 * 4096**2 + 3 * 4096 * 12288)
    assert entry.geometry["parameters"] == body + 2 * 126464 * 4096 + 65 * 4096
    cost = estimate.cost(entry, LoadOptions(), "bfloat16", 1e6, 1000, 900, 131072)
    attention = 4 * 32 * 4096 * 900
    head = 1000 * 2 * 126464 * 4096
    assert cost.operations == pytest.approx(1e6 * (2 * body + attention) + head, rel=1e-3)
    # the whole sweep: about 130M tokens, 2e18 operations
    whole = estimate.cost(entry, LoadOptions(), "bfloat16", 130e6, 144_000, 900, 131072)
    assert whole.operations == pytest.approx(2e18, rel=0.1)
    weights = 2 * entry.geometry["parameters"]
    batch = 131072 * (4 * 4096 + 3 * 12288) * 2
    assert whole.memory == pytest.approx(weights + batch, rel=0.01)
    assert cost.memory == pytest.approx(whole.memory, rel=0.01)
    small = estimate.cost(entry, LoadOptions(quantize="4bit"), "bfloat16", 1e6, 1000, 900, 131072)
    saved = body * (2 - 0.5 - 2 * 2 / 128)  # not of the embedding table, nor of the output layer
    assert cost.memory - small.memory == pytest.approx(saved, rel=1e-3)


@pytest.mark.parametrize(("quantize", "bits"), [("4bit", "qint4"), ("8bit", "qint8")])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_quantised_weights_take_what_quanto_says(quantize, bits, dtype):
    quanto = pytest.importorskip("optimum.quanto")
    layer = torch.nn.Linear(1024, 512, bias=False, dtype=getattr(torch, dtype))
    packed = quanto.QLinear.from_module(layer, weights=getattr(quanto, bits))
    packed.freeze()

    def size(tensor):
        if hasattr(tensor, "__tensor_flatten__"):
            return sum(size(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])
        return tensor.numel() * tensor.element_size()

    one = estimate.PACKED[quantize] + estimate.SCALES[quantize] * estimate.BYTES[dtype]
    assert size(packed.weight) / (1024 * 512) == pytest.approx(one, rel=0.005)


def test_gradients_keep_the_activations_of_every_layer_of_one_prompt():
    """Against what autograd keeps of a real pass, the weights themselves not counted."""
    model = models.load(models.resolve("tiny-mdlm"), LoadOptions())
    weights = {weight.untyped_storage().data_ptr() for weight in model.network.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage  # alive, so that no other gets its place
        return tensor

    ids = torch.arange(200)[None]
    length = torch.tensor([200])
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        gradients.attribute(model, ids, length, length - 1)
    found = sum(storage.nbytes() for storage in kept.values())
    asked = (model.entry, LoadOptions(), "float32", 2 * 200.0, 0, 200.0)
    assert 0.7 < found / estimate.cost(*asked, 8192, True).work < 1.0
    plain = estimate.cost(*asked, 200)
    half = estimate.cost(*asked, 100, True).work
    assert half == pytest.approx(estimate.cost(*asked, 200, True).work / 2)
    assert estimate.cost(*asked, 8192, True).operations == plain.operations


def test_heads_wider_than_the_network_over_their_number():
    """Qwen3-0.6B: 16 heads of 128 in a width of 1024."""
    entry = models.resolve("qwen3-0.6b")
    layer = 2 * 1024 * (16 + 8) * 128 + 3 * 1024 * 3072
    norms = 28 * (2 * 1024 + 2 * 128) + 1024
    assert entry.geometry["parameters"] == 28 * layer + 151936 * 1024 + norms
    cost = estimate.cost(entry, LoadOptions(), "bfloat16", 1e6, 1000, 900, 8192)
    attention = 4 * 28 * 16 * 128 * 900
    head = 1000 * 2 * 151936 * 1024
    assert cost.operations == pytest.approx(1e6 * (2 * 28 * layer + attention) + head, rel=1e-3)
    assert estimate.layer_size(entry.geometry) == round(math.log2(layer))


def test_layers_of_one_size_are_timed_once():
    size = {n: estimate.layer_size(models.resolve(n).geometry) for n in ("llada-8b", "llama3-8b")}
    assert set(size.values()) == {estimate.layer_size(models.resolve("dream-7b").geometry)}
    assert estimate.layer_size(models.resolve("qwen2.5-0.5b").geometry) < min(size.values())


def test_unknown_geometry_gives_no_numbers():
    entry = Checkpoint("x", "causal", "causal")
    cost = estimate.cost(entry, LoadOptions(), "float32", 1, 1, 1, 1)
    assert (cost.operations, cost.memory) == (None, None)


def test_the_machine_says_what_it_is(monkeypatch):
    facts = machine.facts()
    assert facts["libraries"]["torch"].startswith("2.")
    assert facts["cores"] >= 1
    assert machine.matmul_rate("cpu", "float32", 256) > 1e6
    monkeypatch.setenv("PATH", "")
    assert machine.driver() == ""
    assert machine.version_of("no-such-package") == ""


SHAPE = {"hidden": 8, "intermediate": 16, "heads": 2, "kv_heads": 1}


def test_the_rate_of_a_layer_by_a_clock_that_ticks_evenly(monkeypatch):
    """Every pass takes a second: the rate is the operations of a pass."""
    ticks = iter(range(100))
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: next(ticks))
    weights = 2 * 8 * 8 + 2 * 4 * 8 + 3 * 8 * 16
    tokens = 16 * 512
    by_hand = tokens * (2 * weights + 4 * 8 * 512)
    assert estimate.layer_rate(SHAPE, "cpu", "float32") == by_hand


def test_the_rate_of_a_layer_with_wider_heads(monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: next(ticks))
    weights = 2 * 8 * 32 + 2 * 8 * 16 + 3 * 8 * 16
    by_hand = 16 * 512 * (2 * weights + 4 * 32 * 512)
    assert estimate.layer_rate({**SHAPE, "head_dim": 16}, "cpu", "float32") == by_hand


def test_the_rate_of_a_wide_layer_is_that_of_slices_of_its_products(monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: next(ticks))
    shape = {"hidden": 1280, "intermediate": 256, "heads": 10, "kv_heads": 2}
    by_hand = 2 * 256 * (2 * 512 * 1280 + 2 * 256 * 1280 + 2 * 256 * 1280 + 512 * 256)
    assert estimate.layer_rate(shape, "cpu", "float32") == by_hand


def test_what_a_layer_costs_is_what_cost_says():
    """The same formula as for whole models: one layer without a vocabulary."""
    entry = models.resolve("llada-8b")
    body = 4096**2 * 4 + 3 * 4096 * 12288
    whole = estimate.cost(entry, LoadOptions(), "float32", 1.0, 0, 256.0, 1)
    assert whole.operations == pytest.approx(32 * (2 * body + 4 * 4096 * 256), rel=1e-3)


def test_the_timed_layer_mixes_all_tokens_and_keeps_the_shape():
    torch.manual_seed(0)
    sizes = [(8, 8), (4, 8), (4, 8), (8, 8), (16, 8), (16, 8), (8, 16)]
    weights = [torch.randn(size) for size in sizes]
    states = torch.randn(2, 5, 8)
    found = estimate._layer(states, weights, SHAPE)
    assert found.shape == states.shape
    changed = states.clone()
    changed[0, 4] += 1
    moved = (estimate._layer(changed, weights, SHAPE) - found).abs().amax(-1) > 1e-4
    assert moved.tolist() == [[True] * 5, [False] * 5]
