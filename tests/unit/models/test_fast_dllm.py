"""Fast-dLLM v2: rows shifted by one, so that the block before it gives a block's first token."""

import pytest
from dense_checkpoints import plain_of, write_dense
from plain import ask, close

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError

IDS = [11, 48, 85, 122, 159, 196, 233, 20]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_dense(tmp_path_factory.mktemp("fast") / "m", "fast_dllm")


@pytest.fixture(scope="module")
def model(folder):
    return models.load(models.resolve(str(folder)))


def test_a_blocks_first_token_is_read_from_the_finished_block_before_it(model, folder):
    """Whatever stands in its own block, itself included, doesn't change it."""
    plain = plain_of(folder, "fast_dllm").logprobs(IDS[:4], model.entry.mask)[-1:]
    other = [*IDS[:4], model.entry.mask, 9, 9]
    assert close(ask(model, [IDS], [(0, 4)]), plain)
    assert close(ask(model, [other], [(0, 4)]), plain)


def test_the_second_token_sees_its_block(model):
    changed = [*IDS[:-1], 9]
    asked = [(0, 5)]
    assert not close(ask(model, [IDS], asked), ask(model, [changed], asked), 0.01)


def test_position_0_cannot_be_predicted(model):
    with pytest.raises(ProbeError, match="position 0"):
        ask(model, [IDS], [(0, 0)])
