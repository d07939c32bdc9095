"""Autoregressive baselines: right numbers, no leak from the right, only known architectures."""

import json
from dataclasses import replace

import pytest
import torch
from checkpoints import (
    CAUSAL_TYPES,
    llama_weights,
    save_weights,
    write_causal,
    write_dream,
    write_llada,
    write_llama,
)
from plain import LLAMA, Plain, ask, close, read

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import _checks, causal, dream

TEXT = [5, 60, 7, 200, 12, 9, 33]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_llama(tmp_path_factory.mktemp("llama") / "m", kv_heads=2)


@pytest.fixture(scope="module")
def model(folder):
    return models.load(models.resolve(str(folder)))


def test_equals_an_independent_implementation(model, folder):
    """Positions 1 to length; the last one is the token after the end."""
    plain = Plain(read(folder), LLAMA, kv_heads=2, causal=True)
    ours = ask(model, [TEXT], [(0, i) for i in range(1, len(TEXT) + 1)])
    assert close(ours, plain.logprobs(TEXT, None))


def test_tied_and_sharded(tmp_path):
    folder = write_llama(tmp_path / "m", tied=True, shards=2)
    plain = Plain(read(folder), LLAMA, causal=True)
    ours = ask(models.load(models.resolve(str(folder))), [TEXT], [(0, 7)])
    assert close(ours, plain.logprobs(TEXT, None)[[6]])


def test_padding_is_exact(model, folder):
    plain = Plain(read(folder), LLAMA, kv_heads=2, causal=True)
    batch = [TEXT[:2], TEXT + TEXT, TEXT]
    asked = [(row, i + 1) for row, ids in enumerate(batch) for i in range(len(ids))]
    expected = torch.cat([plain.logprobs(ids, None) for ids in batch])
    assert close(ask(model, batch, asked), expected)


def test_nothing_leaks_from_the_right(model):
    changed = [*TEXT[:4], 99, 98, 97]
    asked = [(0, i) for i in range(1, 5)]
    assert torch.equal(ask(model, [TEXT], asked), ask(model, [changed], asked))


def test_position_0_cannot_be_predicted(model):
    with pytest.raises(ProbeError, match="position 0"):
        ask(model, [TEXT], [(0, 0)])


def test_no_token_is_forbidden(model):
    assert ask(model, [TEXT], [(0, 3)]).isfinite().all()


def test_self_test_notices_a_leak(model):
    model.network.config.is_causal = False
    try:
        with pytest.raises(ProbeError, match="not causal, but bidirectional: position 0"):
            _checks.self_test(model)
    finally:
        del model.network.config.is_causal


def test_self_test_notices_a_masked_family_loaded_as_causal(tmp_path, monkeypatch):
    folder = write_dream(tmp_path / "m", config={"mask_token_id": ...})
    entry = replace(models.resolve(str(write_dream(tmp_path / "n"))), source=str(folder))
    monkeypatch.setattr(dream, "KIND", "causal")
    with pytest.raises(ProbeError, match="attention is not bidirectional"):
        models.load(entry)


def test_all_listed_architectures_are_tested():
    assert {*CAUSAL_TYPES, "llama"} == set(causal.MODEL_TYPES)


@pytest.mark.parametrize("kind", CAUSAL_TYPES)
def test_other_architectures_equal_their_own_forward_pass(tmp_path, kind):
    folder, network = write_causal(tmp_path / "m", kind)
    ours = ask(models.load(models.resolve(str(folder))), [TEXT, TEXT[:3]], [(0, 7), (1, 3)])
    with torch.no_grad():
        whole = [network(torch.tensor([ids])).logits[0, -1] for ids in (TEXT, TEXT[:3])]
    assert close(ours, torch.stack(whole).double().log_softmax(-1))


def test_unknown_family(tmp_path):
    folder = write_llama(tmp_path / "m", config={"model_type": "mamba", "architectures": ["Mamba"]})
    with pytest.raises(ProbeError, match=r"unknown model family: model_type 'mamba'") as error:
        models.resolve(str(folder))
    assert "llada (llada: LLaDAModelLM)" in error.value.expected
    assert "dream" in error.value.expected


def test_architectures_decide_where_model_type_is_missing(tmp_path):
    folder = write_llada(tmp_path / "m", config={"model_type": ...})
    assert models.resolve(str(folder)).family == "llada"


def test_old_files_with_rotary_buffers_load(tmp_path):
    folder = write_llama(tmp_path / "m")
    weights = llama_weights() | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(4)}
    save_weights(folder, weights)
    models.load(models.resolve(str(folder)))


def test_a_config_that_describes_no_network(tmp_path):
    folder = write_llama(tmp_path / "m")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hidden_act": "nothing"}))
    with pytest.raises(ProbeError, match=r"config\.json"):
        models.load(models.resolve(str(folder)))


@pytest.mark.hub
@pytest.mark.slow
def test_the_real_qwen_loads_and_passes_its_self_test():
    model = models.load(models.resolve("qwen2.5-7b"))
    assert model.facts["parameters"] == 7615616512
