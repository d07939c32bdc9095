"""LLaDA2 checkpoints in their authors' format, against an implementation in plain torch."""

import json
import re

import pytest
import torch
from checkpoints import MASK_TEXT, special_ids
from expert_checkpoints import write_llada2
from plain import ask, close, read
from plain_experts import PlainLLaDA2
from safetensors.torch import load_file, save_file
from transformers import Glm4MoeForCausalLM

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import LoadOptions, llada2

MASK_ID = special_ids()[MASK_TEXT]
TEXT = [5, 60, MASK_ID, 200, 12, MASK_ID, 33]
EVERY = [(0, i) for i in range(len(TEXT))]
LONG = [(17 * n) % 250 for n in range(75)]
"""Three blocks, the last of them short."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_llada2(tmp_path_factory.mktemp("llada2") / "m")


def reload(folder, **options):
    return models.load(models.resolve(str(folder)), LoadOptions(**options))


def plain(folder, **wrong):
    told = json.loads((folder / "config.json").read_text())
    return PlainLLaDA2(read(folder), told, **{"block": llada2.BLOCK, **wrong})


# ---------------------------------------------------------------------- the numbers


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"shards": 4, "seed": 1},
        {"num_experts": 64, "num_experts_per_tok": 8, "n_group": 8, "topk_group": 4},
        {"num_key_value_heads": 4, "first_k_dense_replace": 2},
        {"num_shared_experts": 2, "n_group": 1, "topk_group": 1},
        {"partial_rotary_factor": 1.0, "rotary_dim": ..., "routed_scaling_factor": 1.0},
    ],
    ids=str,
)
def test_equals_an_independent_implementation(tmp_path, config):
    folder = write_llada2(tmp_path / "m", **config)
    model = reload(folder)
    assert close(ask(model, [TEXT], EVERY), plain(folder).logprobs(TEXT, MASK_ID))
    assert model.facts["experts"] == "grouped_mm"


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong",
    [
        "bias in the weights",
        "no bias",
        "no groups",
        "no scale",
        "not renormalised",
        "no shared expert",
        "every dimension rotated",
        "norm over the whole projection",
        "norm after the rotation",
    ],
)
def test_the_comparison_can_fail(folder, wrong):
    theirs = plain(folder, plant=wrong).logprobs(TEXT, MASK_ID)
    assert not close(ask(reload(folder), [TEXT], EVERY), theirs, 0.1)


def test_attention_is_block_causal(folder):
    model = reload(folder)
    assert (model.entry.attention, model.entry.block) == ("block-causal", 32)
    asked = [(0, i) for i in range(len(LONG))]
    ours = ask(model, [LONG], asked)
    assert close(ours, plain(folder).logprobs(LONG, MASK_ID))
    assert not close(ours, plain(folder, block=0).logprobs(LONG, MASK_ID), 0.1)
    assert not close(ours, plain(folder, block=31).logprobs(LONG, MASK_ID), 0.1)


def test_a_batch_changes_nothing(folder):
    model = reload(folder)
    batch = [TEXT, LONG, TEXT[:3], LONG[:40]]
    asked = [(row, i) for row, ids in enumerate(batch) for i in range(len(ids))]
    theirs = torch.cat([plain(folder).logprobs(ids, MASK_ID) for ids in batch])
    assert close(ask(model, batch, asked), theirs)


# ---------------------------------------------------------------------- the router's numbers


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_router_is_in_float32_whatever_the_weights(folder, dtype):
    network = reload(folder, dtype=dtype).network
    router, stored = network.model.layers[1].mlp.gate, load_file(folder / "model.safetensors")
    at = "model.layers.1.mlp.gate"
    assert torch.equal(router.e_score_correction_bias, stored[f"{at}.expert_bias"])
    assert torch.equal(router.weight, stored[f"{at}.weight"])
    with torch.no_grad():
        weights, chosen = router(torch.randn(5, 24).to(getattr(torch, dtype)))[1:]
    assert weights.dtype == torch.float32
    assert weights.sum(-1).tolist() == pytest.approx([2.5] * 5)
    assert (chosen.sort().values.diff() > 0).all()
    experts = network.model.layers[1].mlp.experts
    assert experts.gate_up_proj.dtype == getattr(torch, dtype)


def test_low_precision_stays_within_its_rounding(tmp_path):
    """Weights stored in bfloat16 lose nothing: what is left is the layers' own rounding."""
    folder = write_llada2(tmp_path / "m", bits="bfloat16")
    ours, theirs = reload(folder, dtype="bfloat16"), plain(folder).logprobs(TEXT, MASK_ID)
    seen = theirs.isfinite()
    error = (ask(ours, [TEXT], EVERY) - theirs)[seen].pow(2).mean().sqrt()
    assert error < 32 * 2**-9 * theirs[seen].std()
    assert close(ask(reload(folder), [TEXT], EVERY), theirs)


# ---------------------------------------------------------------------- rows that are split


def test_rows_of_queries_keys_and_values_are_counted(tmp_path):
    folder, name = write_llada2(tmp_path / "m"), "model.layers.2.attention.query_key_value.weight"
    weights = load_file(folder / "model.safetensors")
    weights[name] = weights[name][:-8]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ProbeError, match=re.escape(f"'{name}' has shape [56, 24]")) as error:
        reload(folder)
    assert error.value.expected.startswith("[64, 24]")


def test_other_checkpoints_of_the_class_are_loaded_as_they_were(folder, tmp_path):
    network = reload(folder).network
    Glm4MoeForCausalLM(network.config).save_pretrained(tmp_path)
    _, info = Glm4MoeForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("score_function", "softmax"),
        ("moe_router_enable_expert_bias", False),
        ("norm_topk_prob", False),
        ("router_dtype", "bf16"),
        ("use_qkv_bias", True),
        ("use_bias", True),
        ("use_qk_norm", False),
        ("use_rmsnorm", False),
        ("norm_head", True),
        ("use_sliding_window", True),
        ("using_split_qkv_in_self_attention", True),
        ("num_nextn_predict_layers", 1),
        ("rope_scaling", {"type": "yarn", "factor": 4.0}),
        ("rotary_dim", 8),
        ("partial_rotary_factor", 0.4),
        ("partial_rotary_factor", 2.0),
        ("n_group", 3),
        ("n_group", 16),
        ("topk_group", 5),
        ("num_experts_per_tok", 9),
        ("num_shared_experts", 0),
        ("first_k_dense_replace", 3),
        ("num_key_value_heads", 3),
        ("routed_scaling_factor", None),
    ],
)
def test_variants_that_it_does_not_compute(tmp_path, key, value):
    folder = write_llada2(tmp_path / "m")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ProbeError, match=r"config\.json, key '") as error:
        models.resolve(str(folder))
    assert f"'{key}'" in error.value.found


def test_the_form_of_training_is_refused(tmp_path):
    folder = write_llada2(tmp_path / "m", model_type="llada2_moe_veomni")
    with pytest.raises(ProbeError, match="llada2_moe_veomni"):
        models.resolve(str(folder))
