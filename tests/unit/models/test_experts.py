"""Mixtures of experts of any family: their files, how they are computed, packed and adapted."""

import json
import re

import pytest
import torch
import transformers
from checkpoints import MASK_TEXT, special_ids
from expert_checkpoints import write_llada2, write_llada_moe
from peft import LoraConfig, get_peft_model
from plain import ask, close, read
from plain_experts import PlainLLaDA2, PlainLLaDAMoE
from safetensors.torch import load_file, save_file

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine import gradients
from mdlm_probe.models import LoadOptions, _describe, _experts, _families
from mdlm_probe.models._config import head_dim, idle, parameters
from mdlm_probe.models._quiet import quiet
from mdlm_probe.models._weights import INDEX
from mdlm_probe.tuning import lora, whole_checkpoint

MASK_ID = special_ids()[MASK_TEXT]
TEXT = [5, 60, MASK_ID, 200, 12, MASK_ID, 33]
EVERY = [(0, i) for i in range(len(TEXT))]
WRITERS = {"llada_moe": write_llada_moe, "llada2": write_llada2}
PLAIN = {"llada_moe": PlainLLaDAMoE, "llada2": PlainLLaDA2}
LAYER = "model.layers.1.mlp.experts."


@pytest.fixture(params=WRITERS)
def family(request):
    return request.param


def reload(folder, **options):
    return models.load(models.resolve(str(folder)), LoadOptions(**options))


def change(folder, fix):
    weights = load_file(folder / "model.safetensors")
    fix(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


# ---------------------------------------------------------------------- files


def test_a_missing_expert_is_named(family, tmp_path):
    folder = WRITERS[family](tmp_path / "m")
    change(folder, lambda w: (w.pop(f"{LAYER}3.up_proj.weight"), w.pop(f"{LAYER}5.up_proj.weight")))
    match = re.escape(f"weight '{LAYER}3.up_proj.weight' is missing and 1 more")
    with pytest.raises(ProbeError, match=match):
        reload(folder)


def test_experts_that_the_config_does_not_count_are_unexpected(family, tmp_path):
    folder = WRITERS[family](tmp_path / "m", num_experts=16)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_experts": 8}))
    with pytest.raises(ProbeError, match=r"unexpected weight '.*\.experts\.(8|9|1\d)\.") as error:
        reload(folder)
    assert "model.safetensors" in error.value.found


def test_experts_that_the_files_do_not_hold_are_missing(family, tmp_path):
    folder = WRITERS[family](tmp_path / "m", num_experts=16)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_experts": 20}))
    change(folder, lambda w: w.update({n: torch.zeros(20, *t.shape[1:]) for n, t in routers(w)}))
    with pytest.raises(ProbeError, match=r"\.experts\.16\.down_proj\.weight' is missing"):
        reload(folder)


def routers(weights):
    return [(name, tensor) for name, tensor in weights.items() if ".mlp.gate." in name]


def test_more_experts_than_weights_build_no_network(family, tmp_path):
    folder = WRITERS[family](tmp_path / "m")
    path = folder / "config.json"
    told = {"num_experts": 10**9, "n_group": 1, "topk_group": 1}
    path.write_text(json.dumps(json.loads(path.read_text()) | told))
    with pytest.raises(ProbeError, match="describes 1000000000 experts"):
        reload(folder)


def test_a_misshaped_expert(family, tmp_path):
    folder, name = WRITERS[family](tmp_path / "m"), f"{LAYER}6.down_proj.weight"
    change(folder, lambda w: w.update({name: w[name][:, 1:].contiguous()}))
    with pytest.raises(ProbeError, match=re.escape(f"weight '{name}' has shape")) as error:
        reload(folder)
    assert error.value.expected.endswith("by config.json")


@pytest.mark.parametrize("kind", ["int8", "float8_e4m3fn"])
def test_experts_that_are_no_weights(family, tmp_path, kind):
    folder, name = WRITERS[family](tmp_path / "m"), f"{LAYER}6.gate_proj.weight"
    change(folder, lambda w: w.update({name: w[name].to(getattr(torch, kind))}))
    with pytest.raises(ProbeError, match=re.escape(f"weight '{name}' is of type")):
        reload(folder)


@pytest.mark.parametrize("other", ["03.up_proj.weight", "3.up_proj.bias", "x.up_proj.weight"])
def test_names_that_only_look_like_an_expert(family, tmp_path, other):
    folder = WRITERS[family](tmp_path / "m")
    change(folder, lambda w: w.update({LAYER + other: w[f"{LAYER}3.up_proj.weight"].clone()}))
    with pytest.raises(ProbeError, match=re.escape(f"unexpected weight '{LAYER}{other}'")):
        reload(folder)


def test_experts_that_are_merged_already_may_stand_for_all(family, tmp_path):
    folder = WRITERS[family](tmp_path / "m")
    expected = ask(reload(folder), [TEXT], EVERY)

    def merged(weights, part):
        count = len([n for n in weights if n.startswith(LAYER) and n.endswith("down_proj.weight")])
        return torch.stack([weights.pop(f"{LAYER}{n}.{part}_proj.weight") for n in range(count)])

    def fix(weights):
        one, other, down = (merged(weights, part) for part in ("gate", "up", "down"))
        weights[f"{LAYER}gate_up_proj"] = torch.cat([one, other], dim=1)
        weights[f"{LAYER}down_proj"] = down

    change(folder, fix)
    assert close(ask(reload(folder), [TEXT], EVERY), expected, 1e-5)


def test_an_expert_beside_the_merged_ones_is_there_twice(tmp_path):
    folder = write_llada_moe(tmp_path / "m")
    change(folder, lambda w: w.update({f"{LAYER}down_proj": torch.zeros(8, 32, 24)}))
    with pytest.raises(ProbeError, match="are the same weight"):
        reload(folder)


def test_damaged_shards(family, tmp_path):
    folder = WRITERS[family](tmp_path / "m", shards=3)
    shard = sorted(folder.glob("*.safetensors"))[1]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-64])
    with pytest.raises(ProbeError, match=f"{shard.name} is not a sound safetensors file"):
        reload(folder)
    shard.write_bytes(whole)
    moved = load_file(shard)
    twice = next(name for name in moved if ".experts." in name)
    other = sorted(folder.glob("*.safetensors"))[2]
    save_file({**load_file(other), twice: moved[twice]}, other)
    with pytest.raises(ProbeError, match=re.escape(f"'{twice}' is in {shard.name} and in")):
        reload(folder)


def test_an_index_of_other_shards(family, tmp_path):
    folder = WRITERS[family](tmp_path / "m", shards=3)
    shard = sorted(folder.glob("*.safetensors"))[1]
    index = folder / INDEX
    told = json.loads(index.read_text())
    moved = next(n for n, f in told["weight_map"].items() if ".experts." in n and f != shard.name)
    told["weight_map"][moved] = shard.name
    index.write_text(json.dumps(told))
    with pytest.raises(ProbeError, match=re.escape(f"'{moved}' is not in {shard.name}")):
        reload(folder)


# ---------------------------------------------------------------------- how many there are

MIXED = [entry for entry in models.entries() if "experts" in entry.geometry]


@pytest.mark.parametrize("entry", MIXED, ids=lambda entry: entry.name)
def test_geometry_builds_a_network_of_that_size(entry):
    g = entry.geometry
    native = {
        "num_experts" if entry.family == "llada_moe" else "n_routed_experts": g["experts"],
        **{key: g[name] for name, key in _describe.SHAPE.items()},
        **{key: g[name] for name, (key, *_) in _describe.EXPERTS.items() if name != "experts"},
        "head_dim": head_dim(g),
        "use_qk_norm": True,
        "num_mtp_layers": 0,
    }
    name = {"llada_moe": "Qwen3Moe", "llada2": "Glm4Moe"}[entry.family]
    with torch.device("meta"):
        config = getattr(transformers, f"{name}Config")(**native)
        empty = getattr(transformers, f"{name}ForCausalLM")(config)
    assert sum(weight.numel() for weight in empty.parameters()) == g["parameters"]


@pytest.mark.parametrize(
    ("name", "total", "at_work", "tables"),
    [
        ("llada-moe", 7e9, 1.4e9, 1),
        ("llada2.0-mini", 16e9, 1.4e9, 2),
        ("llada2.0-flash", 1e11, 6.1e9, 2),
    ],
)
def test_counts_that_are_published(name, total, at_work, tables):
    """By model cards: in all, and at work for a token; one of them leaves the embedding out."""
    g = models.resolve(name).geometry
    assert g["parameters"] == pytest.approx(total, rel=0.06)
    active = g["parameters"] - idle(g) - (2 - tables) * g["vocab"] * g["hidden"]
    assert active == pytest.approx(at_work, rel=0.03)


@pytest.mark.parametrize("config", [{}, {"num_hidden_layers": 4, "seed": 2}], ids=str)
def test_parameters_are_counted_exactly(family, tmp_path, config):
    folder = WRITERS[family](tmp_path / "m", **config)
    entry = models.resolve(str(folder))
    model = reload(folder)
    assert model.facts["parameters"] == entry.geometry["parameters"] == parameters(entry.geometry)
    experts = [m for m in model.network.modules() if hasattr(m, "gate_up_proj")]
    experts = [m for m in experts if isinstance(m.gate_up_proj, torch.nn.Parameter)]
    spare = [  # of every expert but those of one token
        weight.numel() // m.num_experts * (m.num_experts - 3)
        for m in experts
        for weight in (m.gate_up_proj, m.down_proj)
    ]
    assert idle(entry.geometry) == sum(spare)


# ---------------------------------------------------------------------- how they are computed


@pytest.mark.parametrize(
    ("device", "quantize", "name"),
    [("cpu", "", "grouped_mm"), ("cuda", "", "grouped_mm"), ("mps", "", "eager")]
    + [(device, "4bit", "packed") for device in ("cpu", "cuda", "mps")],
)
def test_experts_are_computed_by_groups_where_that_is_possible(device, quantize, name):
    class Config:
        num_experts = 8

    assert _experts.implementation(Config, torch.device(device), quantize) == name
    assert _experts.implementation(object(), torch.device(device), quantize) == ""


@pytest.mark.parametrize("name", ["eager", "batched_mm", "grouped_mm"])
def test_every_way_gives_the_same_rows(family, tmp_path, name):
    model = reload(WRITERS[family](tmp_path / "m", num_experts=64, num_experts_per_tok=8))
    expected = ask(model, [TEXT], EVERY)
    model.network.set_experts_implementation(name)
    assert close(ask(model, [TEXT], EVERY), expected, 1e-5)


def test_the_same_batch_gives_the_same_bytes(family, tmp_path):
    model = reload(WRITERS[family](tmp_path / "m", num_experts=64, num_experts_per_tok=8))
    batch = [TEXT, TEXT * 4, TEXT[:4]]
    asked = [(row, i) for row, ids in enumerate(batch) for i in range(len(ids))]
    assert torch.equal(ask(model, batch, asked), ask(model, batch, asked))


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_pass_through_experts(family, tmp_path, checkpointing):
    folder = WRITERS[family](tmp_path / "m")
    model = reload(folder)
    ids, length, place = torch.tensor([TEXT]), torch.tensor([7]), torch.tensor([2])
    found = gradients.attribute(model, ids, length, place, checkpointing=checkpointing)
    plain = PLAIN[family](read(folder), json.loads((folder / "config.json").read_text()))
    leaf = plain.embedding()[ids[0]].requires_grad_()
    plain.logits(TEXT, leaf)[2, found.tokens[0]].backward()
    assert torch.allclose(found.scores[0].double(), leaf.grad.norm(dim=-1), rtol=1e-4)
    assert (found.scores > 0).all()
    assert all(weight.grad is None for weight in model.network.parameters())


# ---------------------------------------------------------------------- packed weights

WIDE = {
    "llada_moe": {"hidden_size": 64, "expert_intermediate_size": 160},
    "llada2": {"hidden_size": 64, "moe_intermediate_size": 160},
}
STEPS = {"8bit": 254, "4bit": 15}
"""Steps between the least and the largest number of a group: symmetric, or with a shift."""


@pytest.mark.slow
@pytest.mark.parametrize("bits", STEPS)
def test_packed_experts_are_the_numbers_that_are_nearest(family, tmp_path, bits):
    folder = WRITERS[family](tmp_path / "m", **WIDE[family])
    exact, packed = (reload(folder, quantize=q).network.model.layers[1].mlp for q in ("", bits))
    for part in ("gate_up_proj", "down_proj"):
        rows = getattr(exact.experts, part)
        layers = getattr(packed.experts, part)
        assert len(layers) == len(rows)
        for whole, layer in zip(rows, layers, strict=True):
            # a group of 4 bits is 128 or fewer numbers of a row, one of 8 bits a whole row
            width = whole.abs().amax(-1, keepdim=True) * 2
            error = (layer.weight.dequantize() - whole).abs()
            assert error.max() > 0
            assert (error <= 1.02 * width / STEPS[bits] / (2 if bits == "8bit" else 1)).all()
    assert torch.equal(packed.gate.weight, exact.gate.weight)


@pytest.mark.slow
@pytest.mark.parametrize("bits", STEPS)
def test_packed_experts_compute_what_their_numbers_say(family, tmp_path, bits):
    """The same network with the packed numbers written out gives the same rows."""
    folder = WRITERS[family](tmp_path / "m", **WIDE[family])
    packed, exact = reload(folder, quantize=bits), reload(folder)
    for name, module in packed.network.named_modules():
        target = exact.network.get_submodule(name) if ".experts." not in name else None
        if type(module).__name__ == "PackedLinear" and target is not None:
            target.weight.data = module.weight.dequantize()
        if name.endswith(".experts"):
            for part in ("gate_up_proj", "down_proj"):
                rows = [layer.weight.dequantize() for layer in getattr(module, part)]
                getattr(exact.network.get_submodule(name), part).data = torch.stack(rows)
    expected, ours = ask(exact, [TEXT], EVERY), ask(packed, [TEXT], EVERY)
    assert close(ours, expected, 1e-4)
    assert packed.facts["parameters"] == exact.facts["parameters"]
    assert packed.facts["experts"] == "packed"
    assert (packed.facts["quantize"], type(packed.network.lm_head)) == (bits, torch.nn.Linear)


def test_gradients_pass_packed_experts(family, tmp_path):
    model = reload(WRITERS[family](tmp_path / "m", **WIDE[family]), quantize="8bit")
    gradients.check(model)


def test_packed_experts_are_the_same_in_any_batch(family, tmp_path):
    model = reload(WRITERS[family](tmp_path / "m", **WIDE[family]), quantize="8bit")
    batch = [TEXT, TEXT * 4, TEXT[:4]]
    asked = [(row, i) for row, ids in enumerate(batch) for i in range(len(ids))]
    alone = torch.cat([ask(model, [ids], [(0, i) for i in range(len(ids))]) for ids in batch])
    assert close(ask(model, batch, asked), alone, 1e-4)


# ---------------------------------------------------------------------- training


def saved(tuned, folder):
    """An adapter as PEFT saves it, its weights large enough to tell apart."""
    torch.manual_seed(0)
    with quiet():
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.3)
        tuned.save_pretrained(folder, save_embedding_layers=False)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("bits", ["", "8bit"])
@pytest.mark.parametrize("wanted", [["q_proj", "v_proj", "o_proj"], ["all"]], ids=str)
def test_adapters_that_we_train_ourselves(family, tmp_path, wanted, bits):
    """Of attention, and of dense and shared layers."""
    folder = WRITERS[family](tmp_path / "m", **WIDE[family])
    trained, plain = reload(folder), ask(reload(folder), [TEXT], EVERY)
    names = lora.targets(trained.network, _families.family(family).KEYS, wanted)
    assert not any(".experts." in name for name in names)
    with quiet():
        tuned = lora.adapted(trained.network, names, 2, 4, 0.0, 0)
    path = saved(tuned, tmp_path / "a")
    expected = ask(trained, [TEXT], EVERY)
    assert not close(expected, plain, 0.1)
    ours = reload(folder, adapter=str(path), quantize=bits)
    assert ours.facts["adapter"]["modules"] == len(names)
    assert ours.facts["adapter"]["merged"] is (bits == "")
    if not bits:
        assert close(ask(ours, [TEXT], EVERY), expected, 1e-4)
    else:
        seen = plain.isfinite()
        rows = ask(ours, [TEXT], EVERY)
        assert (rows - expected)[seen].norm() < 0.5 * (rows - plain)[seen].norm()


@pytest.mark.slow
@pytest.mark.parametrize(
    "targets",
    [
        {"target_modules": [], "target_parameters": ["mlp.experts.gate_up_proj"]},
        {"target_modules": ["q_proj"], "target_parameters": ["mlp.experts.down_proj"]},
        {"target_modules": "all-linear"},
    ],
    ids=["alone", "beside others", "all that PEFT finds"],
)
def test_adapters_of_experts_are_refused(family, tmp_path, targets):
    folder = WRITERS[family](tmp_path / "m")
    config = LoraConfig(r=2, lora_alpha=4, task_type="CAUSAL_LM", **targets)
    with quiet():
        path = saved(get_peft_model(reload(folder).network, config), tmp_path / "a")
    with pytest.raises(ProbeError, match=r"mlp\.experts.* belongs to no linear layer") as error:
        reload(folder, adapter=str(path))
    assert "takes adapters of its attention" in error.value.hint


@pytest.mark.parametrize(
    "module", ["mlp.experts.3.gate_proj", "mlp.gate", "attention.query_key_value"]
)
def test_adapters_of_weights_that_are_merged_or_split_here_are_refused(tmp_path, module):
    folder, path = write_llada2(tmp_path / "m"), tmp_path / "a"
    path.mkdir()
    told = {
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 4,
        "target_modules": [module],
        "bias": "none",
    }
    (path / "adapter_config.json").write_text(json.dumps(told))
    at = f"base_model.model.model.layers.1.{module}.lora_"
    weights = {f"{at}A.weight": torch.zeros(2, 24), f"{at}B.weight": torch.zeros(16, 2)}
    save_file(weights, path / "adapter_model.safetensors")
    with pytest.raises(ProbeError, match="belongs to no linear layer of this model") as error:
        reload(folder, adapter=str(path))
    assert "takes adapters of its attention" in error.value.hint


def test_whole_checkpoints_are_written_as_their_authors_write_them(family, tmp_path):
    folder, written = WRITERS[family](tmp_path / "m"), tmp_path / "w"
    written.mkdir()
    model = reload(folder)
    model.network.model.layers[1].mlp.experts.down_proj.data[3] *= 2
    whole_checkpoint.write(written, model)
    ours, theirs = read(written), read(folder)
    assert ours.keys() == theirs.keys()
    name = f"{LAYER}3.down_proj.weight"
    changed = {n for n, weight in ours.items() if not torch.equal(weight, theirs[n])}
    assert changed == {name}
    assert torch.equal(ours[name], 2 * theirs[name])
    assert torch.equal(ask(reload(written), [TEXT], EVERY), ask(model, [TEXT], EVERY))
