"""Stable-DiffCoder: Llama's model_type and names, never read as a causal Llama."""

import pytest
from dense_checkpoints import write_dense

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError


def test_it_is_no_causal_llama(tmp_path):
    entry = models.resolve(str(write_dense(tmp_path / "m", "stable_diffcoder")))
    assert (entry.family, entry.kind) == ("stable_diffcoder", "masked")
    assert (entry.block, entry.mask_id) == (4, 5)


@pytest.mark.parametrize(
    "architectures", [..., ["StableDiffcoderForCausalLM", "LlamaForCausalLM"], []]
)
def test_files_that_leave_a_doubt_are_refused(tmp_path, architectures):
    told = {"architectures": architectures}
    folder = write_dense(tmp_path / "m", "stable_diffcoder", config=told)
    with pytest.raises(ProbeError, match="key 'architectures'") as error:
        models.resolve(str(folder))
    assert "StableDiffcoderForCausalLM" in error.value.expected
