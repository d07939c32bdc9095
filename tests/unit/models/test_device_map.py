"""Models over several devices, as far as a machine without cards can tell."""

import pytest
import torch
from accelerate import infer_auto_device_map
from accelerate.utils import compute_module_sizes
from expert_checkpoints import write_llada2, write_llada_moe
from plain import ask

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import _load
from mdlm_probe.models._checkpoint import LoadOptions


def test_a_map_over_one_device_changes_nothing():
    entry = models.resolve("tiny-mdlm")
    plain, mapped = models.load(entry), models.load(entry, LoadOptions(device_map="auto"))
    ids, row = torch.arange(8)[None], torch.zeros(8, dtype=torch.long)
    given = ids, torch.tensor([8]), row, torch.arange(8)
    rows = [model.logprobs(model.states(*given)) for model in (plain, mapped)]
    assert torch.equal(*rows)
    assert mapped.facts == plain.facts


def test_a_map_is_recorded_only_where_it_was_asked_for():
    assert "device_map" not in LoadOptions().recorded()
    assert LoadOptions(device_map="auto").recorded()["device_map"] == "auto"


def test_a_map_means_all_cards():
    wanted = LoadOptions(device="cpu", device_map="auto")
    with pytest.raises(ProbeError, match="spreads a model over all cards") as refused:
        models.load(models.resolve("tiny-mdlm"), wanted)
    assert refused.value.options == ("device_map", "device")


@pytest.mark.parametrize("write", [write_llada_moe, write_llada2])
def test_a_map_over_one_device_changes_nothing_of_experts(write, tmp_path):
    entry = models.resolve(str(write(tmp_path / "m")))
    plain, mapped = models.load(entry), models.load(entry, LoadOptions(device_map="auto"))
    rows = [ask(model, [[5, 6, 7, 8]], [(0, 1), (0, 3)]) for model in (plain, mapped)]
    assert torch.equal(*rows)


@pytest.mark.parametrize("bits", ["", "8bit"])
@pytest.mark.parametrize("write", [write_llada_moe, write_llada2])
def test_a_map_over_several_devices_keeps_the_experts_of_a_layer_together(write, tmp_path, bits):
    folder = write(tmp_path / "m", num_hidden_layers=4)
    model = models.load(models.resolve(str(folder)), LoadOptions(quantize=bits))
    network = model.network
    whole = compute_module_sizes(network)[""]
    room = {0: 0.6 * whole, 1: whole}
    places = infer_auto_device_map(network, room, network._no_split_modules)
    assert set(places.values()) == {0, 1}
    inside = [name for name in places if name.startswith("model.layers.")]
    assert inside == [f"model.layers.{n}" for n in range(4)]


class Mapped(torch.nn.Module):
    def __init__(self, places):
        super().__init__()
        self.base_model = torch.nn.Linear(2, 2)
        self.hf_device_map = dict(enumerate(places))


def test_a_model_that_cards_have_no_room_for_is_refused(tmp_path):
    with pytest.raises(ProbeError, match="does not fit into the memory of 2 devices"):
        _load._spread(Mapped([0, 0, "cpu"]), tmp_path)


def test_outputs_come_back_to_the_first_of_several_devices(tmp_path):
    network = Mapped([0, 0, 1])
    assert _load._spread(network, tmp_path) == {"0": 2, "1": 1}
    assert network.base_model._hf_hook.io_same_device
