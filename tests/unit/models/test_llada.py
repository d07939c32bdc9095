"""LLaDA checkpoints in their authors' format, against an implementation in plain torch."""

import json
import re
import shutil

import pytest
import torch
from checkpoints import MASK_TEXT, VOCAB, llada_name, llama_weights, special_ids, write_llada
from plain import LLADA, Plain, ask, close, read
from safetensors.torch import load_file, save_file

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import LoadOptions, _checks, llada
from mdlm_probe.models._config import REQUIRED

MASK_ID = special_ids()[MASK_TEXT]
TEXT = [5, 60, MASK_ID, 200, 12, MASK_ID, 33]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_llada(tmp_path_factory.mktemp("llada") / "m")


@pytest.fixture(scope="module")
def model(folder):
    return models.load(models.resolve(str(folder)))


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def reload(folder, **options):
    return models.load(models.resolve(str(folder)), LoadOptions(**options))


def edit(folder, **changes):
    path = folder / "config.json"
    told = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in told.items() if v is not ...}))
    return folder


# ---------------------------------------------------------------------- the numbers


@pytest.mark.parametrize(
    "geometry",
    [
        {},
        {"tied": True},
        {"layers": 12, "shards": 2},
        {"kv_heads": 2, "tied": True, "shards": 3},
        {"heads": 2, "kv_heads": 1, "layers": 3, "shards": 2, "seed": 3},
    ],
    ids=str,
)
def test_equals_an_independent_implementation(tmp_path, geometry):
    folder = write_llada(tmp_path / "m", **geometry)
    model = reload(folder)
    heads = {k: geometry.get(k, 4) for k in ("heads", "kv_heads")}
    plain = Plain(read(folder), LLADA, **heads)
    ours = ask(model, [TEXT], [(0, i) for i in range(len(TEXT))])
    assert close(ours, plain.logprobs(TEXT, MASK_ID))
    assert ours.shape == (len(TEXT), VOCAB)


def test_the_comparison_can_fail(model, folder):
    causal = Plain(read(folder), LLADA, causal=True)
    ours = ask(model, [TEXT], [(0, i) for i in range(len(TEXT))])
    assert not close(ours, causal.logprobs(TEXT, MASK_ID), 0.1)


def test_only_the_mask_is_never_predicted(model):
    row = ask(model, [TEXT], [(0, 2)])[0]
    assert row.isinf().nonzero().tolist() == [[MASK_ID]]
    assert row.exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_rows_are_float32_and_repeatable(model):
    ids, length = torch.tensor([TEXT]), torch.tensor([len(TEXT)])
    at = torch.tensor([0]), torch.tensor([2])
    first, second = (model.logprobs(model.states(ids, length, *at)) for _ in range(2))
    assert first.dtype == torch.float32
    assert torch.equal(first, second)


def test_padding_is_exact(model, folder):
    plain = Plain(read(folder), LLADA)
    batch = [TEXT, TEXT[:3], TEXT + TEXT + TEXT, TEXT[:5]]
    asked = [(row, i) for row, ids in enumerate(batch) for i in range(len(ids))]
    ours = ask(model, batch, asked)
    expected = torch.cat([plain.logprobs(ids, MASK_ID) for ids in batch])
    assert close(ours, expected)


def test_asked_rows_come_back_in_the_order_asked(model):
    every = ask(model, [TEXT, TEXT[::-1]], [(r, i) for r in (0, 1) for i in range(7)])
    some = ask(model, [TEXT, TEXT[::-1]], [(1, 4), (0, 0), (1, 4), (0, 6)])
    assert close(some, every[[11, 0, 11, 6]])


def test_more_embedding_rows_than_vocabulary(tmp_path):
    folder = write_llada(tmp_path / "m", vocab=VOCAB + 8, config={"vocab_size": VOCAB})
    assert reload(folder).vocab == VOCAB + 8


def test_long_positions_survive_low_precision(tmp_path):
    """Casting the rotary frequencies, as `.to(bfloat16)` would, ruins long positions."""
    folder = write_llada(tmp_path / "m", context=4096)
    model = reload(folder, dtype="bfloat16")
    assert model.network.model.rotary_emb.inv_freq.dtype == torch.float32
    assert model.network.lm_head.weight.dtype == torch.bfloat16
    assert model.facts["dtype"] == "bfloat16"
    rng = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 256, (600,), generator=rng).tolist()
    ours = ask(model, [ids], [(0, 0), (0, 599)])
    plain = Plain(read(folder), LLADA).logprobs(ids, MASK_ID)[[0, 599]]
    assert (ours - plain)[plain.isfinite()].pow(2).mean().sqrt() < 0.1


def test_gradients_reach_the_embeddings(model):
    ids = torch.tensor([TEXT])
    embeddings = model.network.get_input_embeddings()(ids).detach().requires_grad_()
    at = torch.tensor([0]), torch.tensor([2])
    row = model.logprobs(model.body(ids, torch.tensor([7]), *at, embeddings=embeddings))[0]
    row[5].backward()
    assert (embeddings.grad[0].norm(dim=-1) > 0).all()
    assert torch.allclose(row.double().detach(), ask(model, [TEXT], [(0, 2)])[0])


# ---------------------------------------------------------------------- the self-test


def test_self_test_notices_causal_attention(model):
    model.network.config.is_causal = True
    try:
        with pytest.raises(ProbeError, match="not bidirectional, but causal: position 7"):
            _checks.self_test(model)
    finally:
        model.network.config.is_causal = False
    _checks.self_test(model)


def test_self_test_notices_broken_numbers(copy):
    change(copy, lambda w: w["model.transformer.ln_f.weight"].fill_(torch.nan))
    with pytest.raises(ProbeError, match="not finite in float32"):
        reload(copy)


def test_self_test_notices_capped_logits(model, monkeypatch):
    head = model.network.get_output_embeddings()
    monkeypatch.setattr(model.network, "get_output_embeddings", lambda: lambda x: 2 * head(x))
    with pytest.raises(ProbeError, match="scales or caps"):
        _checks.self_test(model)


# ---------------------------------------------------------------------- config.json


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("block_type", "sequential"),
        ("block_type", ...),
        ("layer_norm_type", "default"),
        ("activation_type", "swiglu"),
        ("include_bias", True),
        ("include_qkv_bias", True),
        ("alibi", True),
        ("rope", False),
        ("rope", ...),
        ("rope", None),
        ("rope_full_precision", None),
        ("layer_norm_with_affine", None),
        ("weight_tying", None),
        ("embedding_size", ...),
        ("eos_token_id", ...),
        ("attention_layer_norm", True),
        ("scale_logits", True),
        ("block_group_size", 2),
        ("d_model", "32"),
        ("d_model", ...),
        ("n_layers", 0),
        ("n_heads", 5),
        ("n_kv_heads", 3),
        ("mlp_hidden_size", None),
        ("max_sequence_length", True),
        ("rope_theta", -1.0),
        ("weight_tying", "no"),
        ("rms_norm_eps", "small"),
        ("d_model", None),
        ("embedding_size", 8),
        ("mask_token_id", ...),
        ("mask_token_id", VOCAB),
        ("mask_token_id", -1),
        ("mask_token_id", "126336"),
        ("eos_token_id", "</s>"),
    ],
)
def test_config_violations_name_file_and_key(copy, key, value):
    with pytest.raises(ProbeError, match=re.escape(f"config.json, key '{key}'")):
        models.resolve(str(edit(copy, **{key: value})))


def test_a_missing_key_whose_default_is_another_in_the_authors_code(copy):
    with pytest.raises(ProbeError, match="key 'rope': is missing") as error:
        models.resolve(str(edit(copy, rope=...)))
    assert error.value.expected == "True"
    assert "a default of its own" in error.value.hint
    assert (
        models.resolve(str(edit(copy, rope=True, embedding_size=None))).geometry["vocab"] == VOCAB
    )


def test_missing_keys_are_taken_for_the_authors_defaults():
    """What isn't required is, left out, what the authors' code takes it for (False for None)."""
    theirs = dict.fromkeys(llada.FIXED, False) | {
        "block_type": "sequential",
        "layer_norm_type": "default",
        "activation_type": "swiglu",
        "rope_full_precision": True,
        "layer_norm_with_affine": True,
        "block_group_size": 1,
    }
    for key, (first, *rest) in llada.FIXED.items():
        if first is REQUIRED:
            assert theirs[key] not in rest
        else:
            assert theirs[key] == first


def test_config_is_not_json(copy):
    (copy / "config.json").write_text("{")
    with pytest.raises(ProbeError, match=r"config\.json is not valid JSON"):
        models.resolve(str(copy))
    (copy / "config.json").write_text("[]")
    with pytest.raises(ProbeError, match=r"config\.json holds a list"):
        models.resolve(str(copy))


def test_quantised_checkpoints_are_refused(copy):
    edit(copy, quantization_config={"quant_method": "gptq"})
    with pytest.raises(ProbeError, match="key 'quantization_config'"):
        reload(copy)


# ---------------------------------------------------------------------- weights


def change(folder, fix):
    weights = load_file(folder / "model.safetensors")
    fix(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    "name", ["model.transformer.blocks.1.ff_proj.weight", "model.transformer.ff_out.weight"]
)
def test_missing_weight(copy, name):
    change(copy, lambda w: w.pop(name))
    with pytest.raises(ProbeError, match=re.escape(f"'{name}' is missing")):
        reload(copy)


@pytest.mark.parametrize(
    "name",
    [
        "model.transformer.blocks.1.q_proj.bias",
        "model.transformer.blocks.2.q_proj.weight",
        "model.transformer.wpe.weight",
        "lm_head.extra",
    ],
)
def test_unexpected_weight(copy, name):
    change(copy, lambda w: w.update({name: torch.zeros(2)}))
    with pytest.raises(ProbeError, match=re.escape(f"unexpected weight '{name}'")) as error:
        reload(copy)
    assert "model.safetensors" in str(error.value)


def test_misshaped_weight(copy):
    name = "model.transformer.blocks.0.up_proj.weight"
    change(copy, lambda w: w.update({name: torch.zeros(64, 31)}))
    with pytest.raises(ProbeError, match=re.escape(f"'{name}' has shape [64, 31]")) as error:
        reload(copy)
    assert "[64, 32]" in error.value.expected


def test_the_same_weight_under_two_names(copy):
    change(copy, lambda w: w.update({"lm_head.weight": torch.zeros(VOCAB, 32)}))
    with pytest.raises(ProbeError, match="are the same weight"):
        reload(copy)


def test_tied_output_layer_may_be_stored_too_if_it_is_equal(tmp_path):
    folder = write_llada(tmp_path / "m", tied=True)
    head = "model.transformer.ff_out.weight"
    change(folder, lambda w: w.update({head: w["model.transformer.wte.weight"].clone()}))
    ours = ask(reload(folder), [TEXT], [(0, 2)])
    assert close(ours, Plain(read(folder), LLADA).logprobs(TEXT, MASK_ID)[[2]])
    change(folder, lambda w: w[head].mul_(2))
    with pytest.raises(ProbeError, match="output layer differs from the embedding"):
        reload(folder)


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty"])
def test_damaged_weights(copy, damage):
    file = copy / "model.safetensors"
    data = file.read_bytes()
    file.write_bytes({"truncated": data[:-100], "garbage": b"\xff" * 999, "empty": b""}[damage])
    with pytest.raises(ProbeError, match=r"model\.safetensors is (damaged|not a sound)"):
        reload(copy)


def test_pickles_are_never_opened(copy):
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ProbeError, match=r"no weights that can be read safely: pytorch_model\.bin"):
        reload(copy)


def test_missing_shard_and_lying_index(tmp_path):
    folder = write_llada(tmp_path / "m", shards=2)
    index = folder / "model.safetensors.index.json"
    told = json.loads(index.read_text())
    told["weight_map"]["model.transformer.nothing"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(told))
    with pytest.raises(ProbeError, match=r"'model\.transformer\.nothing' is not in"):
        reload(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ProbeError, match=r"names model-00002-of-00002\.safetensors, which is miss"):
        reload(folder)


def test_index_without_weights_and_shards_that_overlap(tmp_path):
    folder = write_llada(tmp_path / "m", shards=2)
    first, second = sorted(folder.glob("*.safetensors"))
    extra = load_file(second) | {"model.transformer.ln_f.weight": torch.ones(32)}
    save_file(extra | load_file(first), second)
    with pytest.raises(ProbeError, match=r"is in model-00001-of-00002\.safetensors and in"):
        reload(folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {}}')
    with pytest.raises(ProbeError, match="'weight_map': is missing or empty"):
        reload(folder)


def test_failures_of_transformers_name_the_folder(folder, monkeypatch):
    from transformers import LlamaForCausalLM

    def fail(*_, **__):
        raise RuntimeError("it broke")

    monkeypatch.setattr(LlamaForCausalLM, "from_pretrained", fail)
    with pytest.raises(ProbeError, match=r"cannot load .*m: RuntimeError: it broke"):
        reload(folder)


def test_weights_that_transformers_left_out_are_noticed(folder, monkeypatch):
    from transformers import LlamaForCausalLM

    info = {"missing_keys": {"lm_head.weight"}, "unexpected_keys": set(), "error_msgs": []}
    monkeypatch.setattr(LlamaForCausalLM, "from_pretrained", lambda *_, **__: (None, info))
    with pytest.raises(ProbeError, match=r"did not load completely.*lm_head\.weight"):
        reload(folder)


def test_every_weight_is_renamed_and_back():
    """The error messages read the family's rules backwards."""
    from mdlm_probe.models import _weights

    rename = _weights.renamer(llada.KEYS)
    for native in llama_weights(layers=12):
        assert rename(llada_name(native)) == native
        assert _weights.original(native, llada.KEYS) == llada_name(native)


@pytest.mark.gpu
def test_same_numbers_on_a_gpu(folder):
    model = reload(folder, device="cuda", dtype="float32")
    ids, length = torch.tensor([TEXT]).cuda(), torch.tensor([len(TEXT)]).cuda()
    at = torch.tensor([0]).cuda(), torch.tensor([2]).cuda()
    ours = model.logprobs(model.states(ids, length, *at)).double().cpu()
    assert close(ours, Plain(read(folder), LLADA).logprobs(TEXT, MASK_ID)[[2]], 1e-3)


@pytest.mark.hub
@pytest.mark.slow
def test_the_real_llada_loads_and_passes_its_self_test():
    model = models.load(models.resolve("llada-8b"))
    assert model.facts["parameters"] == 8015581184
    text = model.border.encode("The capital of France is \ue000.")
    ids, length = torch.tensor([text], device=model.device), torch.tensor([len(text)])
    at = text.index(model.entry.mask_id)
    where = (torch.tensor([0], device=model.device), torch.tensor([at], device=model.device))
    best = int(model.logprobs(model.states(ids, length, *where))[0].argmax())
    assert "Paris" in model.border.decode([best])
