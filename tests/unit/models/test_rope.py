"""Reading beyond the context: the rotary base, against the formula and plain torch."""

import pytest
import torch
from checkpoints import MASK_TEXT, special_ids, write_dream, write_llada, write_llama
from plain import LLADA, LLAMA, Plain, ask, close, read
from transformers import LlamaConfig, Phi3Config
from transformers.models.phi3.modeling_phi3 import Phi3RotaryEmbedding

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.models import LoadOptions, _rope
from mdlm_probe.runs.plan import Job, prepare

MASK_ID = special_ids()[MASK_TEXT]
HEAD = 8  # hidden 32, 4 heads


def load(folder, factor):
    options = LoadOptions(rope_scale=factor)
    return models.load(options.apply(models.resolve(str(folder))), options)


def base(theta, factor, size=HEAD):
    return theta * factor ** (size / (size - 2))


@pytest.mark.parametrize(
    ("write", "theta"), [(write_llada, 5e5), (write_dream, 1e6), (write_llama, 5e5)]
)
def test_frequencies_follow_the_formula(write, theta, tmp_path):
    folder = write(tmp_path / "m")
    model, plain = load(folder, 4.0), load(folder, 1.0)
    found = model.network.base_model.rotary_emb.inv_freq.double()
    steps = torch.arange(0, HEAD, 2, dtype=torch.float64) / HEAD
    assert found.tolist() == pytest.approx((base(theta, 4) ** -steps).tolist(), rel=1e-6)
    before = plain.network.base_model.rotary_emb.inv_freq.double()
    assert found[0] == before[0]
    # what NTK-aware scaling is for: the slowest turns 4 times more slowly
    assert float(before[-1] / found[-1]) == pytest.approx(4, rel=1e-6)
    assert model.entry.context == 4 * plain.entry.context
    assert model.facts["rope_scale"] == 4
    assert model.facts["rope_theta"] == pytest.approx(base(theta, 4))
    assert model.facts["context"] == model.entry.context
    assert "rope_scale" not in plain.facts


@pytest.mark.parametrize("kind", ["masked", "causal"])
def test_twice_the_context_equals_plain_torch_with_the_raised_base(kind, tmp_path):
    if kind == "masked":
        folder, names = write_llada(tmp_path / "m", context=64), LLADA
    else:
        folder = write_llama(tmp_path / "m", config={"max_position_embeddings": 64})
        names = LLAMA
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 200, (128,), generator=generator).tolist()
    ids[100] = MASK_ID if kind == "masked" else ids[100]
    query = Query(tuple(ids), (100,), (Readout("whole"),), "long")
    with pytest.raises(ProbeError, match=r"128 tokens.*\n.*at most 64"):
        Engine(load(folder, 1.0), batch_tokens=512).ask([query])
    (answer,) = Engine(load(folder, 2.0), batch_tokens=512).ask([query])
    row = torch.tensor(answer["whole"][0]).double()
    theirs = Plain(read(folder), names, theta=base(5e5, 2), causal=kind == "causal")
    place = 100 if kind == "masked" else 99
    expected = theirs.logprobs(ids, MASK_ID if kind == "masked" else None)[place]
    assert close(row, expected, 1e-4)
    wrong = Plain(read(folder), names, causal=kind == "causal")
    missed = wrong.logprobs(ids, MASK_ID if kind == "masked" else None)[place]
    assert not close(row, missed, 1e-3)


def test_factor_1_changes_no_bit(tmp_path):
    folder = write_llada(tmp_path / "m")
    ids = [5, 60, MASK_ID, 200, 12, MASK_ID, 33]
    both = [models.load(models.resolve(str(folder))), load(folder, 1.0)]
    first, second = (ask(model, [ids], [(0, 2), (0, 5)]) for model in both)
    assert torch.equal(first, second)
    assert both[0].facts == both[1].facts


def test_only_the_rotated_part_of_a_head_counts(tmp_path):
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 1}
    config = Phi3Config(
        **sizes,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5},
    )
    slowest = Phi3RotaryEmbedding(config).inv_freq[-1]
    assert _rope.stretch(config, 3.0, tmp_path) == pytest.approx(base(1e4, 3, 8))
    stretched = Phi3RotaryEmbedding(config).inv_freq
    assert len(stretched) == 4
    assert float(slowest / stretched[-1]) == pytest.approx(3, rel=1e-5)


def test_positions_that_are_scaled_already_are_refused(tmp_path):
    scaled = {"rope_type": "linear", "factor": 2.0}
    folder = write_llama(tmp_path / "m", config={"rope_scaling": scaled})
    load(folder, 1.0)
    with pytest.raises(ProbeError, match=r"config.json: --rope-scale .* type 'linear'"):
        load(folder, 2.0)


def test_positions_that_differ_by_layer_or_hardly_turn_are_refused(tmp_path):
    config = LlamaConfig()
    config.rope_parameters = {"full": {"rope_type": "default", "rope_theta": 1e4}}
    with pytest.raises(ProbeError, match="type 'unknown'"):
        _rope.stretch(config, 2.0, tmp_path)
    config = LlamaConfig(hidden_size=8, num_attention_heads=4)
    with pytest.raises(ProbeError, match="heads rotate 2 dimensions"):
        _rope.stretch(config, 2.0, tmp_path)


@pytest.mark.parametrize("factor", [0.5, 0.0, -1.0, float("nan"), float("inf")])
def test_factors_that_mean_nothing_are_refused_before_anything_is_loaded(factor):
    with pytest.raises(ProbeError, match="--rope-scale has"):
        prepare(Job("locality", "tiny-mdlm", load=LoadOptions(rope_scale=factor)))


def test_the_oracle_has_no_positions_to_scale():
    options = LoadOptions(rope_scale=2.0)
    with pytest.raises(ProbeError, match="'oracle' has no rotary positions"):
        prepare(Job("locality", "oracle", load=options))
    with pytest.raises(ProbeError, match="--rope-scale means nothing"):
        models.load(models.resolve("oracle"), options)


def test_the_factor_belongs_to_a_runs_configuration_unless_it_is_1():
    plans = [
        prepare(Job("locality", "tiny-mdlm", load=LoadOptions(rope_scale=factor)))
        for factor in (1.0, 2.0)
    ]
    assert [plan.entry.context for plan in plans] == [1024, 2048]
    assert "rope_scale" not in plans[0].config["load"]
    assert plans[1].config["load"]["rope_scale"] == 2.0
