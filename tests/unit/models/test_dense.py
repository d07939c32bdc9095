"""The dense diffusion families, each in its authors' format, against the same in plain torch."""

import json
import re

import pytest
import torch
from checkpoints import VOCAB, save_weights
from dense_checkpoints import BLOCK_SIZES, DENSE, plain_of, write_dense
from plain import ask, close
from safetensors.torch import load_file

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine import memory
from mdlm_probe.models import LoadOptions, _registry

NAMES = sorted(DENSE)
IN_BLOCKS = [name for name in NAMES if DENSE[name].block]


def load(folder, name):
    options = LoadOptions(block_size=BLOCK_SIZES.get(name))
    return models.load(models.entry_for(str(folder), options), options)


def text(name, length=11):
    """Token ids with masks among them, also in the last block and at a block's beginning."""
    ids = [(37 * i + 11) % 250 + 6 for i in range(length)]
    masks = {i for i in (2, 4, 8, length - 1) if i < length}
    return [DENSE[name].mask if i in masks else token for i, token in enumerate(ids)]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Checkpoints with their models, loaded when they are asked for."""
    made = {}

    def get(name):
        if name not in made:
            folder = write_dense(tmp_path_factory.mktemp(name) / "m", name)
            made[name] = folder, load(folder, name)
        return made[name]

    return get


def expected(plain, name, ids):
    """Rows by the position that they score, from `shift` on."""
    rows = plain.logprobs(ids, DENSE[name].mask)
    return rows[:-1] if DENSE[name].shift else rows


def places(name, ids):
    return [(0, i) for i in range(DENSE[name].shift, len(ids))]


# ---------------------------------------------------------------------- the numbers


@pytest.mark.slow
@pytest.mark.parametrize("geometry", [{}, {"layers": 3, "kv_heads": 1, "shards": 2}], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_equals_an_independent_implementation(tmp_path, name, geometry):
    folder = write_dense(tmp_path / "m", name, **geometry)
    model, ids = load(folder, name), text(name)
    plain = plain_of(folder, name, kv_heads=geometry.get("kv_heads", 2))
    ours = ask(model, [ids], places(name, ids))
    assert close(ours, expected(plain, name, ids))
    assert ours.shape[1] == VOCAB


@pytest.mark.parametrize("name", NAMES)
def test_the_comparison_can_fail(loaded, name):
    folder, model = loaded(name)
    ids = text(name)
    ours = ask(model, [ids], places(name, ids))
    for wrong in ({"causal": True}, {"block": 5}, {"theta": 1e4}):
        assert not close(ours, expected(plain_of(folder, name, **wrong), name, ids), 0.01)


@pytest.mark.parametrize("name", NAMES)
def test_padding_is_exact(loaded, name):
    folder, model = loaded(name)
    batch = [text(name, 5), text(name, 14), text(name, 7)]
    asked = [(row, i) for row, ids in enumerate(batch) for _, i in places(name, ids)]
    parts = [expected(plain_of(folder, name), name, ids) for ids in batch]
    assert close(ask(model, batch, asked), torch.cat(parts))


@pytest.mark.parametrize("name", IN_BLOCKS)
def test_blocks_begin_where_each_query_says(loaded, name):
    folder, model = loaded(name)
    origins = [0, 1, DENSE[name].block - 1]
    batch = [text(name), text(name, 9), text(name, 12)]
    asked = [(row, i) for row, ids in enumerate(batch) for _, i in places(name, ids)]
    parts = [
        expected(plain_of(folder, name, origin=origin), name, ids)
        for ids, origin in zip(batch, origins, strict=True)
    ]
    ours = ask(model, batch, asked, origins)
    assert close(ours, torch.cat(parts))
    assert not close(ours, ask(model, batch, asked), 0.01)


@pytest.mark.parametrize("name", NAMES)
def test_facts(loaded, name):
    folder, model = loaded(name)
    kind, entry = DENSE[name], model.entry
    assert (entry.family, entry.kind, entry.mask_id) == (kind.family, "masked", kind.mask)
    assert (entry.shift, entry.block) == (kind.shift, kind.block)
    assert entry.attention == ("block-causal" if kind.block else "bidirectional")
    estimate = models.entry_for(str(folder), LoadOptions(block_size=BLOCK_SIZES.get(name)))
    assert model.facts["parameters"] == estimate.geometry["parameters"]
    assert "custom" not in type(model.network).__module__
    assert type(model.network).__module__.startswith("transformers.models.")


def test_room_for_keys_and_values_is_counted_by_the_width_of_heads(loaded, monkeypatch):
    monkeypatch.setattr(memory, "_free", lambda device: 10**6)
    widths = {"sdar": 2 * 16, "stable_diffcoder": 2 * 8}  # heads of keys and values, each so wide
    for name, width in widths.items():
        room = int(memory.KV_CACHE_SHARE * 10**6 / (2 * 2 * width * 4))
        assert memory.kv_cache_tokens(loaded(name)[1]) == room


# ---------------------------------------------------------------------- files


@pytest.mark.parametrize("name", NAMES)
def test_no_weight_is_missing_and_none_is_left_over(tmp_path, name):
    folder = write_dense(tmp_path / "m", name)
    weights = load_file(folder / "model.safetensors")
    without = "model.layers.1.self_attn.k_proj.weight"
    save_weights(folder, {key: value for key, value in weights.items() if key != without})
    with pytest.raises(ProbeError, match=re.escape(f"'{without}' is missing")):
        load(folder, name)
    save_weights(folder, weights | {"model.layers.1.self_attn.x.bias": torch.zeros(2)})
    with pytest.raises(
        ProbeError, match=r"unexpected weight 'model\.layers\.1\.self_attn\.x\.bias"
    ):
        load(folder, name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_act", "gelu"),
        ("use_sliding_window", True),
        ("layer_types", ["full_attention", "sliding_attention"]),
        ("layer_types", "full_attention"),
        ("rope_scaling", {"rope_type": "yarn", "factor": 4.0}),
        ("rope_parameters", {"rope_type": "llama3", "rope_theta": 1e6}),
        ("rope_parameters", {"rope_type": "default", "partial_rotary_factor": 0.5}),
        ("rope_theta", ...),
        ("rope_theta", 0),
        ("hidden_size", ...),
        ("num_hidden_layers", "2"),
        ("num_key_value_heads", 3),
        ("num_key_value_heads", ...),
        ("max_position_embeddings", None),
        ("vocab_size", 1.5),
        ("tie_word_embeddings", "no"),
        ("mask_token_id", VOCAB),
        ("mask_token_id", "5"),
        ("eos_token_id", VOCAB),
    ],
)
@pytest.mark.parametrize("name", ["a2d-qwen3", "sdar", "illada", "stable_diffcoder", "fast_dllm"])
def test_config_violations_name_file_and_key(tmp_path, name, key, value):
    folder = write_dense(tmp_path / "m", name, config={key: value})
    with pytest.raises(ProbeError, match=re.escape(f"config.json, key '{key}'")):
        models.resolve(str(folder), block=BLOCK_SIZES.get(name))


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("sdar", "attention_bias", True),
        ("stable_diffcoder", "mlp_bias", True),
        ("illada", "attention_bias", True),
        ("illada", "layer_norm_eps", 1e-5),
        ("illada", "tie_word_embeddings", ...),
        ("illada", "head_dim", 16),
        ("sdar", "use_regular_causal", True),
        ("a2d-qwen3", "loophole_enabled", True),
        ("fast_dllm", "num_attention_heads", 6),
    ],
)
def test_variants_that_the_network_does_not_compute(tmp_path, name, key, value):
    folder = write_dense(tmp_path / "m", name, config={key: value})
    with pytest.raises(ProbeError, match=re.escape(f"config.json, key '{key}'")):
        models.resolve(str(folder), block=BLOCK_SIZES.get(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_rotary_positions_as_newer_files_tell_them(tmp_path, name):
    newer = {"rope_type": "default", "rope_theta": 1e6, "partial_rotary_factor": None}
    for told in ({"rope_theta": ...}, {}):
        config = {"rope_parameters": newer, **told}
        folder = write_dense(tmp_path / f"m{len(told)}", name, config=config)
        ids = text(name)
        rows = expected(plain_of(folder, name), name, ids)
        assert close(ask(load(folder, name), [ids], places(name, ids)), rows)
    folder = write_dense(tmp_path / "n", name, config={"rope_parameters": newer, "rope_theta": 1e4})
    with pytest.raises(ProbeError, match=r"key 'rope_theta': found 10000\.0"):
        load(folder, name)


# ---------------------------------------------------------------------- mask tokens


@pytest.mark.parametrize("name", ["sdar", "a2d-qwen3", "a2d-qwen2", "fast_dllm", "dream_reasoner"])
def test_a_mask_that_the_vocabulary_has_no_row_for(tmp_path, name):
    folder = write_dense(tmp_path / "m", name, config={"mask_token_id": ...})
    with pytest.raises(ProbeError, match=r"key 'mask_token_id': is missing, and 1516\d\d") as error:
        models.resolve(str(folder), block=BLOCK_SIZES.get(name))
    assert error.value.expected == f"less than the {VOCAB} rows of the embedding"


def test_a_family_that_has_no_mask_of_its_own(tmp_path):
    folder = write_dense(tmp_path / "m", "a2d-llama", config={"mask_token_id": ...})
    with pytest.raises(ProbeError, match="key 'mask_token_id': is missing"):
        models.resolve(str(folder), block=0)


@pytest.mark.parametrize("name", ["illada", "stable_diffcoder"])
def test_the_familys_mask_stands_in_where_config_has_none(tmp_path, name):
    folder = write_dense(tmp_path / "m", name)
    assert "mask_token_id" not in json.loads((folder / "config.json").read_text())
    assert models.resolve(str(folder)).mask_id == 5
    told = write_dense(tmp_path / "n", name, config={"mask_token_id": 9})
    assert models.resolve(str(told)).mask_id == 9


# ---------------------------------------------------------------------- registered names


@pytest.mark.parametrize(
    ("name", "registered"),
    [
        ("a2d-qwen3", "a2d-0.6b-mdlm"),
        ("a2d-bd3lm", "a2d-0.6b-bd3lm"),
        ("a2d-qwen2", "a2d-coder-0.5b-mdlm"),
        ("sdar", "trado-4b"),
        ("dream_reasoner", "dreamreasoner-8b"),
        ("illada", "illada-8b"),
        ("stable_diffcoder", "stable-diffcoder-8b"),
        ("fast_dllm", "fast-dllm-v2-7b"),
    ],
)
def test_the_registered_checkpoint_is_of_that_family(name, registered):
    entry = models.resolve(registered)
    kind = DENSE[name]
    assert (entry.family, entry.shift) == (kind.family, kind.shift)
    assert bool(entry.block) == bool(kind.block)
    own = ("head_dim" in kind.network, "qk_norm" in kind.network, "qkv_bias" in kind.network)
    shape = entry.geometry
    assert own == ("head_dim" in shape, "qk_norm" in shape, "qkv_bias" in shape)


def test_a_row_of_the_registry_that_leaves_the_block_open():
    with pytest.raises(ProbeError, match="entry 'x': no block"):
        _registry._entry("x", {"family": "sdar"})
