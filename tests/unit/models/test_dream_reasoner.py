"""DreamReasoner: Dream's model_type, and nothing else of Dream's."""

import pytest
from dense_checkpoints import write_dense

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError


def test_it_is_no_dream(tmp_path):
    entry = models.resolve(str(write_dense(tmp_path / "m", "dream_reasoner")))
    assert (entry.family, entry.shift, entry.block) == ("dream_reasoner", 0, 3)


def test_blocks_of_32_where_config_names_none(tmp_path):
    folder = write_dense(tmp_path / "m", "dream_reasoner", config={"block_size": ...})
    assert models.resolve(str(folder)).block == 32


def test_read_as_a_dream_it_is_refused(tmp_path):
    folder = write_dense(tmp_path / "m", "dream_reasoner")
    with pytest.raises(ProbeError, match="key 'block_size': found 3"):
        models.resolve(str(folder), told="dream")
