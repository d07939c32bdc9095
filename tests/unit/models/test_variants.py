"""Quantised weights and LoRA adapters on small checkpoints."""

import json
import re
import shutil
import sys

import pytest
import torch
from checkpoints import MASK_TEXT, llada_name, special_ids, write_dream, write_llada, write_llama
from plain import ask, close
from safetensors.torch import load_file, save_file

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import LoadOptions, _quantize
from mdlm_probe.models._quiet import quiet
from mdlm_probe.runs.loaded_models import load_model

TEXT = [5, 60, 7, 200, 12, 9, 33]
ASKED = [(0, i) for i in range(1, 7)]
LAYERS = {"attn_out": 32, "q_proj": 32, "ff_proj": 64, "ff_out": 32}
INPUTS = {"attn_out": 32, "q_proj": 32, "ff_proj": 32, "ff_out": 64}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_llada(tmp_path_factory.mktemp("variants") / "m")


def reload(folder, **options):
    return models.load(models.resolve(str(folder)), LoadOptions(**options))


# ---------------------------------------------------------------------- quantisation


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_llada, write_dream, write_llama])
@pytest.mark.parametrize(
    ("bits", "weight_error", "output_error"), [("8bit", 0.01, 0.05), ("4bit", 0.15, 0.5)]
)
def test_quantised_weights_stay_close(tmp_path, write, bits, weight_error, output_error):
    folder = write(tmp_path / "m", hidden=64, intermediate=128)
    exact, model = reload(folder), reload(folder, quantize=bits)
    layers = (m.network.base_model.layers[0].mlp.up_proj for m in (exact, model))
    one, other = (w.dequantize() if hasattr(w, "qtype") else w for w in (m.weight for m in layers))
    assert 0 < (one - other).norm() / one.norm() < weight_error
    expected, ours = ask(exact, [TEXT], ASKED), ask(model, [TEXT], ASKED)
    seen = expected.isfinite()
    assert (ours - expected)[seen].std() < output_error * expected[seen].std()
    assert torch.equal(ours.isfinite(), seen)
    assert model.facts["quantize"] == bits
    assert type(model.network.base_model.layers[0].mlp.up_proj).__name__ == "PackedLinear"
    assert type(model.network.lm_head) is torch.nn.Linear
    assert model.facts["parameters"] == exact.facts["parameters"]


def test_quantised_tied_weights(tmp_path):
    folder = write_llada(tmp_path / "m", tied=True)
    expected = ask(reload(folder), [TEXT], ASKED)
    ours = ask(reload(folder, quantize="8bit"), [TEXT], ASKED)
    assert (ours - expected)[expected.isfinite()].pow(2).mean().sqrt() < 0.2


def test_a_caller_in_inference_mode_may_use_4_bit(folder):
    """Quanto's 4-bit tensors refuse inference mode; the model leaves it for them."""
    model = reload(folder, quantize="4bit")
    expected = ask(model, [TEXT], ASKED)
    with torch.inference_mode():
        assert torch.equal(ask(model, [TEXT], ASKED), expected)


def test_four_bits_take_no_compiler(folder, monkeypatch):
    """Quanto would build C++ at its first packed weight; the same numbers come without."""
    from optimum.quanto.library.extensions import cpp, extension
    from optimum.quanto.tensor.packed import pack_weights

    monkeypatch.setattr(extension, "load", lambda *_, **__: pytest.fail("C++ is compiled"))
    monkeypatch.setattr(cpp.ext, "_lib", None)
    assert ask(reload(folder, quantize="4bit"), [TEXT], ASKED).isfinite().any()
    numbers = torch.randint(0, 16, (6, 8), dtype=torch.uint8)
    assert torch.equal(_quantize._unpack(pack_weights(numbers, 4), 4), numbers)


@pytest.mark.gpu
@pytest.mark.parametrize("bias", [False, True])
def test_a_gpu_unpacks_four_bits_for_many_rows(bias):
    from optimum.quanto import freeze, qint4, quantize

    from mdlm_probe.models import _packing

    layers = torch.nn.Sequential(torch.nn.Linear(256, 128, bias)).to("cuda", torch.bfloat16)
    quantize(layers, weights=qint4)
    freeze(layers)
    rows = torch.randn(2000, 256, device="cuda", dtype=torch.bfloat16)
    with torch.no_grad():
        packed = layers(rows)
        _packing.unpack_in_large_passes(layers)
        few = torch.cat([layers(part) for part in rows.split(64)])
        whole = layers(rows)
        weight, added = layers[0].weight.dequantize(), layers[0].bias
        unpacked = torch.nn.functional.linear(rows, weight, added)
    assert torch.equal(few, packed)
    assert torch.equal(whole, unpacked)
    assert (whole - packed).norm() < 1e-2 * packed.norm()


def test_quantisation_without_its_library(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "optimum.quanto", None)
    with pytest.raises(ProbeError, match="needs the library optimum-quanto") as error:
        reload(folder, quantize="4bit")
    assert "pip install" in error.value.hint


# ---------------------------------------------------------------------- adapters


def test_a_plan_refuses_the_adapter_that_a_run_would(tmp_path, folder):
    """Without weights: its files, its kind, and its shapes, held against the model's."""
    entry = models.resolve(str(folder))

    def changed(weights):
        name = next(name for name in weights if "lora_B" in name)
        weights[name] = torch.zeros(3, 4)

    wide = write_adapter(tmp_path / "wide", change=changed)
    for place in (tmp_path / "nope", wide):
        options = models.LoadOptions(adapter=str(place))
        with pytest.raises(ProbeError) as loaded:
            models.load(entry, options)
        with pytest.raises(ProbeError) as planned:
            models.check_adapter(entry, options)
        assert str(planned.value) == str(loaded.value)
    models.check_adapter(entry, models.LoadOptions(adapter=str(write_adapter(tmp_path / "right"))))
    models.check_adapter(entry, models.LoadOptions())
    with pytest.raises(ProbeError, match="oracle"):
        models.check_adapter(models.resolve("oracle"), models.LoadOptions(adapter=str(wide)))


def write_adapter(folder, *, names="authors", rank=4, layers=2, change=None, **told):
    """A LoRA adapter as PEFT saves it, on the authors' or the native names."""
    from mdlm_probe.models import _weights, llada

    rename = _weights.renamer(llada.KEYS) if names == "native" else str
    rng, weights = torch.Generator().manual_seed(1), {}
    for i in range(layers):
        for module, width in LAYERS.items():
            name = rename(f"model.transformer.blocks.{i}.{module}.").removesuffix(".")
            at = f"base_model.model.{name}."
            weights[at + "lora_A.weight"] = torch.randn(rank, INPUTS[module], generator=rng) * 0.3
            weights[at + "lora_B.weight"] = torch.randn(width, rank, generator=rng) * 0.3
    if change:
        change(weights)
    targets = list(LAYERS)
    if names == "native":
        targets = ["q_proj", "o_proj", "gate_proj", "down_proj"]
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 8, "target_modules": targets}
    config |= {"bias": "none", "task_type": "CAUSAL_LM", "base_model_name_or_path": "GSAI-ML/x"}
    folder.mkdir()
    save_file(weights, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(config | told))
    return folder


def merged(folder, adapter, target, scale=2.0):
    """The same, written down by hand: W + scale * B A."""
    shutil.copytree(folder, target)
    weights, lora = load_file(folder / "model.safetensors"), load_file(next(adapter.glob("*.saf*")))
    for key, a in lora.items():
        if key.endswith("lora_A.weight"):
            name = key.removeprefix("base_model.model.").removesuffix("lora_A.weight") + "weight"
            name = name if name in weights else llada_name(name)
            b = lora[key.replace("lora_A", "lora_B")]
            weights[name] = weights[name] + scale * b @ a
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return target


@pytest.mark.parametrize("names", ["authors", "native"])
def test_adapters_of_either_naming(tmp_path, folder, names):
    adapter = write_adapter(tmp_path / "a", names=names)
    model = reload(folder, adapter=str(adapter))
    by_hand = reload(merged(folder, adapter, tmp_path / "merged"))
    assert close(ask(model, [TEXT], ASKED), ask(by_hand, [TEXT], ASKED), 1e-4)
    plain = reload(folder)
    assert not close(ask(model, [TEXT], ASKED), ask(plain, [TEXT], ASKED), 0.1)
    assert model.facts["adapter"]["merged"] is True
    assert model.facts["adapter"]["modules"] == 8
    assert model.facts["weight_hash"] != plain.facts["weight_hash"]
    assert not any("lora" in name for name, _ in model.network.named_modules())


def test_rank_stabilised_scale_and_alpha_patterns(tmp_path, folder):
    stable = write_adapter(tmp_path / "a", use_rslora=True)
    by_hand = reload(merged(folder, stable, tmp_path / "m1", 8 / 4**0.5))
    ours = ask(reload(folder, adapter=str(stable)), [TEXT], ASKED)
    assert close(ours, ask(by_hand, [TEXT], ASKED), 1e-3)
    pattern = dict.fromkeys(LAYERS, 4)
    weaker = write_adapter(tmp_path / "b", alpha_pattern=pattern)
    by_hand = reload(merged(folder, weaker, tmp_path / "m2", 1.0))
    ours = ask(reload(folder, adapter=str(weaker)), [TEXT], ASKED)
    assert close(ours, ask(by_hand, [TEXT], ASKED), 1e-4)


def test_what_peft_itself_saves_loads(tmp_path, folder):
    from peft import LoraConfig, get_peft_model

    model = reload(folder)
    config = LoraConfig(r=2, lora_alpha=4, target_modules="all-linear", task_type="CAUSAL_LM")
    with quiet():
        tuned = get_peft_model(model.network, config)
    torch.manual_seed(0)
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    expected = ask(model, [TEXT], ASKED)
    with quiet():
        tuned.save_pretrained(tmp_path / "a")
    assert close(ask(reload(folder, adapter=str(tmp_path / "a")), [TEXT], ASKED), expected, 1e-4)


@pytest.mark.parametrize("bits", ["8bit", "4bit"])
def test_adapters_stay_beside_quantised_weights(tmp_path, folder, bits):
    adapter = write_adapter(tmp_path / "a")
    model = reload(folder, adapter=str(adapter), quantize=bits)
    assert model.facts["adapter"]["merged"] is False
    ours, exact = (ask(m, [TEXT], ASKED) for m in (model, reload(folder, adapter=str(adapter))))
    plain = ask(reload(folder, quantize=bits), [TEXT], ASKED)
    seen = exact.isfinite()
    distance = [(x - exact)[seen].pow(2).mean().sqrt() for x in (ours, plain)]
    assert distance[0] < 0.6 * distance[1]


A = "base_model.model.model.transformer.blocks.1.ff_proj.lora_A.weight"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda w: w.pop(A), re.escape(f"key '{A}' is missing")),
        (lambda w: w.update({"x": torch.zeros(4, 32)}), "unexpected key 'x'"),
        (lambda w: w.update({A: torch.zeros(4)}), re.escape(f"key '{A}' has shape [4]")),
        (lambda w: w.update({A: w[A].long()}), re.escape(f"weight '{A}' is of type I64")),
        (lambda w: w.update({A: torch.zeros(4, 31)}), re.escape(f"key '{A}' has shape [4, 31]")),
        (
            lambda w: w.update({A.replace("blocks.1", "blocks.7"): torch.zeros(4, 32)}),
            re.escape("blocks.7.ff_proj.lora_A.weight' belongs to no linear layer"),
        ),
        (
            lambda w: [w.pop(k) for k in list(w) if "blocks.1.attn_out" in k],
            re.escape("has no weights for 'model.transformer.blocks.1.attn_out'"),
        ),
        (lambda w: [w.pop(k) for k in list(w) if "attn_out" in k], "no weights for 'attn_out'"),
        (lambda w: w.clear(), "is empty"),
    ],
)
def test_adapter_keys_that_do_not_fit(tmp_path, folder, change, match):
    adapter = write_adapter(tmp_path / "a", change=change)
    with pytest.raises(ProbeError, match=match):
        reload(folder, adapter=str(adapter))


@pytest.mark.parametrize(
    ("told", "key"),
    [
        ({"peft_type": "IA3"}, "peft_type"),
        ({"bias": "all"}, "bias"),
        ({"r": "4"}, "r"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"target_modules": ["q_proj", 5]}, "target_modules"),
        ({"target_modules": {"q_proj": 1}}, "target_modules"),
        ({"alpha_pattern": ["q_proj"]}, "alpha_pattern"),
        ({"alpha_pattern": {"q_proj": "4"}}, "alpha_pattern"),
        ({"alpha_pattern": {"(": 4}}, "alpha_pattern"),
        ({"layers_to_transform": "all"}, "layers_to_transform"),
        ({"layers_to_transform": [0, "1"]}, "layers_to_transform"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"use_rslora": "yes"}, "use_rslora"),
    ],
)
def test_adapter_configs_that_do_not_fit(tmp_path, folder, told, key):
    with pytest.raises(ProbeError, match=re.escape(f"adapter_config.json, key '{key}'")):
        reload(folder, adapter=str(write_adapter(tmp_path / "a", **told)))


RECIPE = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def test_names_of_modules_that_the_model_lacks(tmp_path, folder):
    """PEFT trains what there is, and says nothing of the rest: LLaDA has no `o_proj`."""
    told = {"target_modules": ["q_proj", "ff_proj", "attn_out", "ff_out", "o_proj", "gate_proj"]}
    adapter, notes = write_adapter(tmp_path / "a", **told), []
    load = LoadOptions(adapter=str(adapter))
    model = load_model(models.resolve(str(folder)), load, notes.append)
    assert model.facts["adapter"]["unmatched"] == ["o_proj", "gate_proj"]
    assert "target_modules o_proj, gate_proj match no module" in notes[-1]
    named = reload(folder, adapter=str(write_adapter(tmp_path / "b")))
    assert "unmatched" not in named.facts["adapter"]
    assert torch.equal(ask(model, [TEXT], ASKED), ask(named, [TEXT], ASKED))


@pytest.mark.parametrize(("names", "absent"), [("authors", "k_proj"), ("native", "k_proj")])
def test_names_of_modules_that_have_no_weights(tmp_path, folder, names, absent):
    adapter = write_adapter(tmp_path / "a", names=names, target_modules=RECIPE)
    with pytest.raises(ProbeError, match=f"no weights for '{absent}'"):
        reload(folder, adapter=str(adapter))


def test_adapter_files_that_are_missing(tmp_path, folder):
    with pytest.raises(ProbeError, match="no adapter in"):
        reload(folder, adapter=str(tmp_path))
    adapter = write_adapter(tmp_path / "a")
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(ProbeError, match="never opened"):
        reload(folder, adapter=str(adapter))


def test_an_adapter_of_a_tied_output_layer_is_refused(tmp_path):
    folder = write_llada(tmp_path / "m", tied=True)

    def head(weights):
        weights["base_model.model.model.transformer.ff_out.lora_A.weight"] = torch.zeros(4, 32)
        rows = models.load(models.resolve(str(folder))).vocab
        weights["base_model.model.model.transformer.ff_out.lora_B.weight"] = torch.zeros(rows, 4)

    adapter = write_adapter(tmp_path / "a", change=head)
    with pytest.raises(ProbeError, match="also this model's embedding"):
        reload(folder, adapter=str(adapter))


def test_mask_id_survives_an_adapter(tmp_path, folder):
    model = reload(folder, adapter=str(write_adapter(tmp_path / "a")))
    row = ask(model, [TEXT], [(0, 2)])[0]
    assert row.isinf().nonzero().tolist() == [[special_ids()[MASK_TEXT]]]
