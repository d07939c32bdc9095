"""Checkpoints that are known and can't be read: refused by name, with what they are."""

import pytest
from checkpoints import write_llama
from dense_checkpoints import write_dense

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._unsupported import UNSUPPORTED


@pytest.mark.parametrize("one", UNSUPPORTED, ids=lambda one: one.name)
def test_each_says_what_it_is_and_what_it_would_need(tmp_path, one):
    found = [("model_type", name) for name in one.model_types]
    found += [("architectures", [name]) for name in one.classes]
    for number, (key, value) in enumerate(found):
        folder = write_llama(tmp_path / f"m{number}", config={key: value})
        with pytest.raises(ProbeError, match=f"config.json, key '{key}': found") as error:
            models.resolve(str(folder))
        assert f"which is {one.name}, {one.what}" in error.value.found
        assert error.value.hint == one.needs
    assert found or one.sources


@pytest.mark.parametrize("name", ["diffullama", "DiffuGPT-s", "nvidia-Efficient-DLM-4B"])
def test_names_tell_what_config_json_does_not(tmp_path, name):
    folder = write_llama(tmp_path / name)
    with pytest.raises(ProbeError, match=f"'.*{name}': found its name, which is"):
        models.resolve(str(folder))
    assert models.resolve(str(folder), told="causal").kind == "causal"


def test_hub_ids_do_before_anything_is_downloaded():
    with pytest.raises(ProbeError, match=r"'diffusionfamily/diffullama': found its name"):
        models.resolve("diffusionfamily/diffullama")


def test_a_mixture_of_experts_under_a_dense_model_type(tmp_path):
    folder = write_dense(tmp_path / "m", "sdar", config={"architectures": ["SDARMoeForCausalLM"]})
    with pytest.raises(ProbeError, match="SDAR with experts"):
        models.resolve(str(folder))
