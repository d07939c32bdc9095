"""SDAR and TraDo: the size of a block is the checkpoint's, and must be told."""

import pytest
from dense_checkpoints import write_dense

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import LoadOptions


def test_the_size_of_a_block_is_never_guessed(tmp_path):
    folder = write_dense(tmp_path / "SDAR-1.7B-Chat-b32", "sdar", config={"block_size": ...})
    with pytest.raises(ProbeError, match="doesn't say how long the blocks are"):
        models.resolve(str(folder))
    options = LoadOptions(block_size=32)
    model = models.load(models.entry_for(str(folder), options), options)
    assert (model.entry.block, model.entry.origin) == (32, "start")


def test_registered_sizes():
    names = ("sdar-1.7b", "sdar-4b", "sdar-8b", "trado-4b", "trado-8b")
    assert {models.resolve(name).block for name in names} == {4}
    assert {models.resolve(name).origin for name in names} == {"start"}


def test_a_hybrid_that_reads_from_left_to_right_is_refused(tmp_path):
    folder = write_dense(tmp_path / "m", "sdar", config={"use_regular_causal": True})
    with pytest.raises(ProbeError, match="key 'use_regular_causal': found True") as error:
        models.resolve(str(folder))
    assert error.value.expected == "False"
