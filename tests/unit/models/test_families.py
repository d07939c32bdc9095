"""What a checkpoint is: nothing masked is taken for causal, and the user has the last word."""

import json

import pytest
from checkpoints import write_causal, write_dream, write_llada, write_llama

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import LoadOptions, causal
from mdlm_probe.runs.plan import Job, prepare


def family(folder, told=""):
    return models.resolve(str(folder), told=told).family


@pytest.mark.parametrize(
    ("key", "config"),
    [
        ("architectures", {"architectures": ["StableDiffLlamaForCausalLM"]}),
        ("architectures", {"architectures": ["LlamaForCausalLM", "LlamaForMaskedLM"]}),
        ("architectures", {"architectures": ["MistralForCausalLM"]}),
        ("architectures", {"architectures": ..., "auto_map": {"AutoModel": "m.Masked"}}),
        ("architectures", {"architectures": ...}),
        ("auto_map.AutoModelForMaskedLM", {"auto_map": {"AutoModelForMaskedLM": "m.A2DLlama"}}),
        ("mask_token_id", {"mask_token_id": 5}),
        ("mask_token_id", {"mask_token_id": 0}),
        ("dlm_paradigm", {"dlm_paradigm": "bidirectional"}),
        ("attention_type", {"attention_type": "bidirectional"}),
        ("diffusion_config", {"diffusion_config": {"steps": 4}}),
        ("attention.block_size", {"attention": {"block_size": 4}}),
        ("is_causal", {"is_causal": False}),
    ],
)
def test_what_may_be_masked_is_not_read_from_left_to_right(tmp_path, key, config):
    folder = write_llama(tmp_path / "m", config=config)
    with pytest.raises(ProbeError, match=f"config.json, key '{key}'") as error:
        models.resolve(str(folder))
    assert "--family causal" in error.value.hint
    assert family(folder, "causal") == "causal"


@pytest.mark.parametrize(
    "config",
    [
        {"auto_map": {"AutoModelForCausalLM": "modeling_mine.MyLlama"}},
        {"mask_token_id": None, "is_causal": True, "use_bidirectional_attention": False},
        {"dlm_paradigm": "autoregressive"},
        {"_name_or_path": "someone/prompts-for-stable-diffusion"},
    ],
)
def test_causal_checkpoints_load_whatever_else_they_ship(tmp_path, config):
    folder = write_llama(tmp_path / "m", config=config)
    assert family(folder) == "causal"
    assert models.load(models.resolve(str(folder))).entry.kind == "causal"


def test_the_same_of_qwen3(tmp_path):
    folder, _ = write_causal(tmp_path / "m", "qwen3")
    assert family(folder) == "causal"
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mask_token_id": 299}))
    with pytest.raises(ProbeError, match=r"key 'mask_token_id': found 299.*'qwen3'"):
        models.resolve(str(folder))


@pytest.mark.parametrize("write", [write_llada, write_dream])
def test_a_model_type_that_several_architectures_share(tmp_path, write):
    folder = write(tmp_path / "m", config={"architectures": ["SomeMoEModelLM"]})
    with pytest.raises(ProbeError, match=r"key 'architectures': found .'SomeMoEModelLM'.") as error:
        models.resolve(str(folder))
    assert "--family" in error.value.hint


def test_a_shared_model_type_without_an_architecture_is_nobodys(tmp_path):
    folder = write_dream(tmp_path / "m", config={"architectures": ...})
    with pytest.raises(ProbeError, match="key 'architectures': is missing") as error:
        models.resolve(str(folder))
    expected = "['DreamModel'] (dream, masked) or ['DreamForCausalLM'] (dream_reasoner, masked)"
    assert error.value.expected.startswith(expected)
    assert family(folder, "dream") == "dream"


def test_the_classes_are_those_that_transformers_has():
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as KNOWN

    assert {kind: KNOWN[kind] for kind in causal.MODEL_TYPES} == causal.MODEL_TYPES


@pytest.mark.parametrize(
    ("model", "told", "match"),
    [
        ("tiny-mdlm", "causal", "'tiny-mdlm' is registered as of family 'llada'"),
        ("GSAI-ML/LLaDA-8B-Base", "causal", "'llada-8b' is registered"),
        ("tiny-mdlm", "oracle", "no family 'oracle' reads checkpoints"),
        ("tiny-mdlm", "gpt", "no family 'gpt' reads checkpoints"),
    ],
)
def test_families_that_cannot_be_meant(model, told, match):
    with pytest.raises(ProbeError, match=match) as error:
        models.entry_for(model, LoadOptions(family=told))
    assert error.value.option == "family"


def test_the_user_says_what_it_is(tmp_path):
    folder = write_llama(tmp_path / "m", config={"mask_token_id": 5})
    load = LoadOptions(family="causal")
    entry = models.entry_for(str(folder), load)
    model = models.load(entry, load)
    assert (model.entry.kind, model.facts["family"]) == ("causal", "causal")
    assert models.load_border(entry, load).entry.mask_id is None
    with pytest.raises(ProbeError, match="key 'block_type': is missing"):
        models.entry_for(str(folder), LoadOptions(family="llada"))


def test_runs_that_began_before_there_was_a_choice_resume(tmp_path):
    """An empty --family is not written down, so that it equals none."""
    folder = str(write_llama(tmp_path / "m", config={"mask_token_id": 5}))
    before = prepare(Job("locality", "tiny-mdlm")).config["load"]
    assert "family" not in before
    assert "family" not in LoadOptions().recorded()
    load = prepare(Job("masks", folder, {"limit": 1}, LoadOptions(family="causal"))).config["load"]
    assert load["family"] == "causal"
