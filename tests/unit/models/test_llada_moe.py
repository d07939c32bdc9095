"""LLaDA-MoE checkpoints in their authors' format, against an implementation in plain torch."""

import json
import re

import pytest
import torch
from checkpoints import MASK_TEXT, special_ids, write_llada
from expert_checkpoints import write_llada_moe
from plain import ask, close, read
from plain_experts import PlainLLaDAMoE

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import LoadOptions, llada_moe
from mdlm_probe.models._config import Config

MASK_ID = special_ids()[MASK_TEXT]
TEXT = [5, 60, MASK_ID, 200, 12, MASK_ID, 33]
EVERY = [(0, i) for i in range(len(TEXT))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_llada_moe(tmp_path_factory.mktemp("llada_moe") / "m")


def reload(folder, **options):
    return models.load(models.resolve(str(folder)), LoadOptions(**options))


def plain(folder, **wrong):
    return PlainLLaDAMoE(read(folder), json.loads((folder / "config.json").read_text()), **wrong)


# ---------------------------------------------------------------------- the numbers


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"shards": 3, "seed": 1},
        {"num_experts": 64, "num_experts_per_tok": 8, "expert_intermediate_size": 8},
        {"num_key_value_heads": 2, "num_hidden_layers": 3, "moe_layer_freq": [1, 1, 1]},
        {"num_experts_per_tok": 1},
        {"num_experts_per_tok": 8},
    ],
    ids=str,
)
def test_equals_an_independent_implementation(tmp_path, config):
    folder = write_llada_moe(tmp_path / "m", **config)
    model = reload(folder)
    assert close(ask(model, [TEXT], EVERY), plain(folder).logprobs(TEXT, MASK_ID))
    assert (model.entry.family, model.entry.kind, model.entry.block) == ("llada_moe", "masked", 0)
    assert model.facts["experts"] == "grouped_mm"


@pytest.mark.parametrize(
    "wrong", ["renormalised", "norm over the whole projection", "norm after the rotation"]
)
def test_the_comparison_can_fail(folder, wrong):
    theirs = plain(folder, plant=wrong).logprobs(TEXT, MASK_ID)
    assert not close(ask(reload(folder), [TEXT], EVERY), theirs, 0.1)


def test_a_batch_changes_nothing(folder):
    model = reload(folder)
    batch = [TEXT, TEXT[:3], TEXT * 5, TEXT[::-1]]
    asked = [(row, i) for row, ids in enumerate(batch) for i in range(len(ids))]
    theirs = torch.cat([plain(folder).logprobs(ids, MASK_ID) for ids in batch])
    assert close(ask(model, batch, asked), theirs)


def test_low_precision_stays_within_its_rounding(tmp_path):
    """Weights stored in bfloat16 lose nothing: what is left is the layers' own rounding."""
    folder = write_llada_moe(tmp_path / "m", bits="bfloat16")
    ours, theirs = reload(folder, dtype="bfloat16"), plain(folder).logprobs(TEXT, MASK_ID)
    seen = theirs.isfinite()
    error = (ask(ours, [TEXT], EVERY) - theirs)[seen].pow(2).mean().sqrt()
    assert error < 16 * 2**-9 * theirs[seen].std()
    assert close(ask(reload(folder), [TEXT], EVERY), theirs)


# ---------------------------------------------------------------------- which family


def test_the_class_tells_it_from_a_dense_llada(tmp_path, folder):
    assert models.resolve(str(folder)).family == "llada_moe"
    assert models.resolve(str(write_llada(tmp_path / "dense"))).family == "llada"


def test_the_mask_that_no_config_names(tmp_path):
    folder = write_llada_moe(tmp_path / "m", mask_token_id=...)
    with pytest.raises(ProbeError, match="156895"):  # this small vocabulary has no such row
        models.resolve(str(folder))


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("moe_router_enable_expert_bias", True),
        ("moe_router_score_function", "sigmoid"),
        ("norm_topk_prob", True),
        ("routed_scaling_factor", 2.5),
        ("router_num_group", 8),
        ("router_topk_group", 4),
        ("shared_expert_intermediate_size", 16),
        ("partial_rotary_factor", 0.5),
        ("rope_scaling", {"rope_type": "yarn", "factor": 2.0}),
        ("moe_layer_freq", [0, 1]),
        ("moe_layer_freq", [1]),
        ("qk_layernorm", False),
        ("clip_qkv", 8.0),
        ("attention_bias", True),
        ("hidden_act", "gelu"),
        ("head_dim", 16),
        ("num_attention_heads", 5),
        ("num_key_value_heads", 3),
        ("num_experts_per_tok", 9),
        ("num_experts", 0),
        ("expert_intermediate_size", None),
        ("rope_theta", ...),
    ],
)
def test_variants_that_it_does_not_compute(tmp_path, key, value):
    folder = write_llada_moe(tmp_path / "m")
    path = folder / "config.json"
    told = json.loads(path.read_text()) | {key: value}
    path.write_text(json.dumps({k: v for k, v in told.items() if v is not ...}))
    with pytest.raises(ProbeError, match=re.escape(f"config.json, key '{key}'")):
        models.resolve(str(folder))


def test_the_configuration_of_the_published_checkpoint(tmp_path):
    """LLaDA-MoE-7B-A1B: 7.4 billion weights, 1.4 of them at work for a token."""
    told = {"hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 16}
    told |= {"num_key_value_heads": 16, "num_experts": 64, "num_experts_per_tok": 8}
    told |= {"expert_intermediate_size": 1024, "max_position_embeddings": 8192, "rope_theta": 50000}
    native = llada_moe.translate(Config(tmp_path, {**told, "vocab_size": 157184}))
    assert (native["head_dim"], native["rms_norm_eps"]) == (128, 1e-5)
    assert native["norm_topk_prob"] is False
