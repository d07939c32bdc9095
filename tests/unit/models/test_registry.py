"""Names, folders and hub ids: what is registered, what is found, what is refused."""

import re
from pathlib import Path

import pytest
from checkpoints import write_dream, write_llada, write_llama

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import _describe, _families, _registry
from mdlm_probe.models._config import Config, parameters

CHAT = re.compile(r"instruct|1\.5$|a2d|sdar|trado|reasoner|grpo|fast-dllm|llada2|qwen3-[\d.]+b$")
CHECKPOINTS = [e for e in models.entries() if e.family != "oracle"]
REAL = [e for e in CHECKPOINTS if "/tiny/" not in e.source]
DENSE = [e for e in REAL if "experts" not in e.geometry]  # others: test_experts.py

# Published counts: model cards, hub metadata.
PUBLISHED = {
    "llada-8b": 8_015_581_184,
    "illada-8b": 7.62e9,
    "dream-7b": 7_615_616_512,
    "llama3-8b": 8_030_261_248,
    "qwen2.5-7b": 7_615_616_512,
    "qwen3-0.6b": 596_049_920,
    "qwen3-1.7b": 1_720_574_976,
    "qwen3-4b": 4_022_468_096,
    "qwen3-8b": 8_190_735_360,
    "dreamreasoner-8b": 8_190_735_360,
    "stable-diffcoder-8b": 8.25e9,
}


def test_names():
    expected = (
        "llada-8b llada-8b-instruct llada-1.5 illada-8b illada-8b-instruct dream-7b "
        "dream-7b-instruct dream-coder-7b dream-coder-7b-instruct diffucoder-7b "
        "diffucoder-7b-instruct diffucoder-7b-cpgrpo a2d-0.6b-mdlm a2d-0.6b-bd3lm "
        "a2d-coder-0.5b-mdlm a2d-coder-0.5b-bd3lm sdar-1.7b sdar-4b sdar-8b trado-4b trado-8b "
        "dreamreasoner-8b stable-diffcoder-8b stable-diffcoder-8b-instruct fast-dllm-v2-1.5b "
        "fast-dllm-v2-7b llada-moe llada-moe-instruct llada-moe-instruct-td "
        "llada2.0-mini llada2.0-flash llada2.1-mini llada2.1-flash "
        "llama3-8b llama3-8b-instruct qwen2.5-7b "
        "qwen2.5-7b-instruct qwen2.5-0.5b qwen2.5-0.5b-instruct "
        "qwen3-0.6b-base qwen3-0.6b qwen3-1.7b-base qwen3-1.7b qwen3-4b-base qwen3-4b "
        "qwen3-8b-base qwen3-8b smollm2-135m "
        "tiny-mdlm tiny-mdlm-adapted tiny-arlm oracle oracle-causal oracle-biased oracle-block "
        "oracle-lists oracle-toy"
    )
    assert models.names() == expected.split()
    assert [e.name for e in models.entries()] == models.names()


@pytest.mark.parametrize("entry", models.entries(), ids=lambda e: e.name)
def test_every_entry_is_complete(entry):
    assert entry.family in models.families()
    assert entry.kind in ("masked", "causal")
    assert entry.note
    assert (entry.mask_id is None) == (entry.kind == "causal")
    assert entry.context >= 256
    assert entry.chat == bool(CHAT.search(entry.name))


@pytest.mark.parametrize("entry", models.entries(), ids=lambda e: e.name)
def test_no_model_is_scored_by_a_relative_unless_that_is_asked_for(entry):
    assert not entry.started_from or entry.started_from in models.names()
    if entry.companion:
        companion = models.resolve(entry.companion)
        assert companion.kind == "causal"
        assert models.relation(companion, entry) == ""
        assert entry.companion not in (entry.started_from, entry.name)


@pytest.mark.parametrize(
    ("scorer", "model", "kin"),
    [
        ("qwen2.5-7b", "dream-7b", "the model that dream-7b started from"),
        ("qwen2.5-7b", "dream-7b-instruct", "the model that dream-7b-instruct started from"),
        ("qwen2.5-7b", "diffucoder-7b", "the model that diffucoder-7b started from"),
        ("qwen2.5-7b-instruct", "dream-7b", "a relative of dream-7b"),
        ("qwen2.5-0.5b", "dream-7b", "a relative of dream-7b"),
        ("llada-1.5", "llada-8b", "a model that started from llada-8b"),
        ("llama3-8b-instruct", "llama3-8b", "a model that started from llama3-8b"),
        ("tiny-arlm", "tiny-arlm", "tiny-arlm itself"),
        ("llama3-8b", "dream-7b", ""),
        ("llama3-8b-instruct", "llada-8b-instruct", ""),
        ("smollm2-135m", "dream-7b", ""),
        ("tiny-arlm", "tiny-mdlm", ""),
        ("qwen3-0.6b-base", "a2d-0.6b-mdlm", "the model that a2d-0.6b-mdlm started from"),
        ("qwen3-8b", "trado-4b", "a relative of trado-4b"),
        ("qwen2.5-7b", "fast-dllm-v2-1.5b", "a relative of fast-dllm-v2-1.5b"),
        ("smollm2-135m", "a2d-coder-0.5b-bd3lm", ""),
    ],
)
def test_relatives(scorer, model, kin):
    assert models.relation(models.resolve(scorer), models.resolve(model)) == kin


@pytest.mark.parametrize("entry", REAL, ids=lambda e: e.name)
def test_geometry(entry):
    shape = entry.geometry
    assert shape["parameters"] == parameters(shape)
    assert shape["hidden"] % shape["heads"] == shape["heads"] % shape["kv_heads"] == 0
    assert all(i < shape["vocab"] for i in (*entry.eos_ids, entry.mask_id or 0))
    if entry.name in PUBLISHED:
        assert shape["parameters"] == pytest.approx(PUBLISHED[entry.name], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("entry", DENSE, ids=lambda e: e.name)
def test_geometry_builds_a_network_of_that_size(entry):
    import torch
    import transformers

    told = entry.geometry
    shape = {native: told[ours] for ours, native in _describe.SHAPE.items()}
    if "qk_norm" in told:
        shape["head_dim"] = told["head_dim"]
    name = "Qwen3" if "qk_norm" in told else "Qwen2" if "qkv_bias" in told else "Llama"
    config = getattr(transformers, f"{name}Config")
    network = getattr(transformers, f"{name}ForCausalLM")
    with torch.device("meta"):
        empty = network(config(**shape, tie_word_embeddings=bool(entry.geometry.get("tied"))))
    assert sum(weight.numel() for weight in empty.parameters()) == entry.geometry["parameters"]


# What GSAI-ML/LLaDA-8B-Base says of itself (auto_map and training keys left out).
LLADA_8B = {
    "activation_type": "silu",
    "alibi": False,
    "architectures": ["LLaDAModelLM"],
    "attention_layer_norm": False,
    "bias_for_layer_norm": False,
    "block_group_size": 1,
    "block_type": "llama",
    "d_model": 4096,
    "embedding_size": 126464,
    "eos_token_id": 126081,
    "include_bias": False,
    "include_qkv_bias": False,
    "input_emb_norm": False,
    "layer_norm_type": "rms",
    "layer_norm_with_affine": True,
    "mask_token_id": 126336,
    "max_sequence_length": 4096,
    "mlp_hidden_size": 12288,
    "model_type": "llada",
    "multi_query_attention": None,
    "n_heads": 32,
    "n_kv_heads": 32,
    "n_layers": 32,
    "pad_token_id": 126081,
    "rms_norm_eps": 1e-05,
    "rope": True,
    "rope_full_precision": True,
    "rope_theta": 500000.0,
    "scale_logits": False,
    "vocab_size": 126464,
    "weight_tying": False,
}


def test_the_real_config_agrees_with_the_registry():
    entry = models.resolve("llada-8b")
    described = _registry.describe(entry, Config(Path("config.json"), LLADA_8B))
    assert described.geometry.items() >= entry.geometry.items()
    assert described.mask_id == entry.mask_id


@pytest.mark.parametrize("write", [write_llada, write_dream, write_llama])
@pytest.mark.parametrize("geometry", [{}, {"tied": True, "layers": 3, "kv_heads": 2}], ids=str)
def test_parameters_are_counted_exactly(tmp_path, write, geometry):
    entry = models.resolve(str(write(tmp_path / "m", **geometry)))
    estimate = entry.geometry["parameters"]
    assert models.load(entry).facts["parameters"] == estimate


@pytest.mark.parametrize("name", models.families())
def test_every_family_declares_what_it_must(name):
    family = _families.family(name)
    assert family.__doc__
    if not hasattr(family, "build"):
        assert family.KIND in ("masked", "causal")
        assert family.SHIFT in (0, 1)
        assert family.MODEL_TYPES
        assert family.NATIVE
        assert isinstance(family.KEYS, dict)
        assert callable(family.translate)
    assert _families.declares(name) != hasattr(family, "build")


# ---------------------------------------------------------------------- resolving


def test_registry_names_and_revisions():
    assert models.resolve("llada-8b").revision == "main"
    assert models.resolve("llada-8b", "abc").revision == "abc"
    with pytest.raises(ProbeError, match="has no revisions"):
        models.resolve("tiny-mdlm", "abc")


def test_a_registered_hub_id_gives_its_entry():
    assert models.resolve("gsai-ml/LLaDA-8B-base").name == "llada-8b"
    assert models.resolve("Qwen/Qwen2.5-7B", "abc").revision == "abc"


@pytest.mark.parametrize(
    ("typo", "meant"), [("lada-8b", "llada-8b"), ("Dream7b", "dream-7b"), ("tinymdlm", "tiny-mdlm")]
)
def test_did_you_mean(typo, meant):
    with pytest.raises(ProbeError, match=f"no model named '{typo}'") as error:
        models.resolve(typo)
    assert meant in error.value.expected


def test_nothing_like_it():
    with pytest.raises(ProbeError) as error:
        models.resolve("@@@@")
    assert "llada-8b" in error.value.expected


def test_local_folders(tmp_path, monkeypatch):
    folder = write_llada(tmp_path / "runs" / "mine-instruct")
    entry = models.resolve(str(folder))
    assert (entry.name, entry.family, entry.kind, entry.chat) == (
        "mine-instruct",
        "llada",
        "masked",
        True,
    )
    monkeypatch.chdir(tmp_path)
    for relative in ("runs/mine-instruct", "./runs/mine-instruct"):
        assert models.resolve(relative).name == "mine-instruct"
    with pytest.raises(ProbeError, match="is a local folder"):
        models.resolve(str(folder), "abc")


@pytest.mark.parametrize("path", ["/nowhere/at/all", "./nowhere", "~/nowhere-at-all", "a/b/c"])
def test_missing_folder(path):
    with pytest.raises(ProbeError, match="no folder"):
        models.resolve(path)


def test_folders_that_hold_no_model(tmp_path):
    with pytest.raises(ProbeError, match=r"has no config\.json"):
        models.resolve(str(tmp_path))
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ProbeError, match="holds an adapter, not a model") as error:
        models.resolve(str(tmp_path))
    assert f"--adapter {tmp_path}" in error.value.hint


# ---------------------------------------------------------------------- registry against config


def registered(monkeypatch, folder, **facts):
    entry = _registry.Checkpoint("x", facts.pop("family", "llada"), "masked", str(folder), **facts)
    monkeypatch.setattr(_registry, "registry", lambda: {"x": entry})
    return entry


def test_config_decides_the_geometry_and_the_registry_the_ends(tmp_path, monkeypatch):
    folder = write_llada(tmp_path / "m", layers=3)
    shape = {"layers": 2, "parameters": 7}
    entry = registered(monkeypatch, folder, eos_ids=(1,), context=64, geometry=shape)
    found = models.load(entry).entry
    assert found.geometry["layers"] == 3
    assert (found.eos_ids, found.context) == ((1,), 64)


def test_contradicting_mask_ids_are_refused(tmp_path, monkeypatch):
    folder = write_llada(tmp_path / "m")
    with pytest.raises(ProbeError, match="key 'mask_token_id': found 297") as error:
        models.load(registered(monkeypatch, folder, mask_id=7))
    assert "7, as 'x' is registered" in error.value.expected


def test_a_registered_mask_id_does_where_config_has_none(tmp_path, monkeypatch):
    folder = write_llada(tmp_path / "m", config={"mask_token_id": ...})
    assert models.load(registered(monkeypatch, folder, mask_id=297)).entry.mask_id == 297


def test_another_family_than_registered_is_refused(tmp_path, monkeypatch):
    folder = write_dream(tmp_path / "m")
    with pytest.raises(ProbeError, match="is of family 'dream'"):
        models.load_border(registered(monkeypatch, folder))


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"family": "llada", "maskid": 3}, "entry 'x': unknown field 'maskid'"),
        ({"family": "lada"}, "entry 'x': no family 'lada'"),
    ],
)
def test_faults_in_the_registry_file_are_named(row, match):
    with pytest.raises(ProbeError, match=match):
        _registry._entry("x", row)


def test_unknown_family_name():
    with pytest.raises(ProbeError, match="no model family 'nope'"):
        _families.family("nope")


# ---------------------------------------------------------------------- the bundled pair


@pytest.mark.parametrize("name", ["tiny-mdlm", "tiny-arlm"])
def test_bundled_checkpoints(name):
    entry = models.resolve(name)
    assert Path(entry.source).is_dir()
    assert entry.geometry["parameters"] < 1_000_000
    assert entry.defaults_for("locality") == {"answer": "word", "lexicon": "small", "limit": 20}
    assert entry.defaults_for("masks")["limit"] == 10
    model = models.load(entry)
    assert model.facts["parameters"] == entry.geometry["parameters"]
    assert model.border.vocab <= model.vocab


@pytest.mark.parametrize("name", ["oracle", "oracle-causal"])
def test_families_without_weights(name):
    entry = models.resolve(name)
    border = models.load_border(entry)
    assert border.entry.mask_id == entry.mask_id
    assert border.encode("Options") == models.load(entry).border.encode("Options")


def test_the_bundled_masked_model_has_the_authors_format():
    entry = models.resolve("tiny-mdlm")
    config = Config.read(Path(entry.source))
    assert config.data["model_type"] == "llada"
    assert config.data["weight_tying"] is True
    assert config.data["rope"] is True
