"""Layers by native names and by the LLaDA authors'; a name that nothing has is an error."""

import pytest
import torch
from checkpoints import write_dream, write_llada

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import dream, llada
from mdlm_probe.models._quiet import quiet
from mdlm_probe.tuning import lora


def load(folder):
    return models.load(models.resolve(str(folder))).network


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return load(write_llada(tmp_path_factory.mktemp("lora") / "m"))


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [
        (("q_proj",), {"q_proj": 2}),
        (("attn_out", "v_proj"), {"v_proj": 2, "o_proj": 2}),
        (("ff_out",), {"down_proj": 2}),  # never the output layer, which the authors call so too
        (("layers.1.mlp.up_proj",), {"up_proj": 1}),
        (("blocks.0.ff_proj",), {"gate_proj": 1}),
    ],
)
def test_names_of_layers(network, wanted, kinds):
    assert lora.kinds(lora.targets(network, llada.KEYS, wanted)) == kinds


def test_all_is_every_linear_layer_but_the_output_layer(network, tmp_path):
    assert len(lora.targets(network, llada.KEYS, ("all",))) == 14
    other = load(write_dream(tmp_path / "m"))
    found = lora.targets(other, dream.KEYS, ("all",))
    assert len(found) == 14
    assert "lm_head" not in found


@pytest.mark.parametrize("name", ["proj", "lm_head", "q_prj", "transformer.ff_out"])
def test_a_name_that_no_layer_has(network, name):
    with pytest.raises(ProbeError, match=rf"unknown --targets '{name}'[\s\S]*all, q_proj"):
        lora.targets(network, llada.KEYS, ("q_proj", name))


def test_an_adapters_first_weights_come_from_the_seed_alone(tmp_path):
    folder, found = write_llada(tmp_path / "m"), []
    for seed, noise in ((0, 1), (0, 2), (3, 2)):
        network = load(folder)
        torch.manual_seed(noise)
        names = lora.targets(network, llada.KEYS, ("q_proj",))
        with quiet():
            made = lora.adapted(network, names, 4, 8, 0.0, seed)
        found.append([p.detach().clone() for p in made.parameters() if p.requires_grad])
        assert len(found[-1]) == 4
    assert all(torch.equal(a, b) for a, b in zip(found[0], found[1], strict=True))
    assert not torch.equal(found[0][0], found[2][0])
