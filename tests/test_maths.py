"""Readout functions against closed forms."""

import math

import pytest
import torch

from mdlm_probe import maths

ROWS = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.25, 0.25, 0.25, 0.25]]).log()


def test_entropy_closed_form():
    assert maths.entropy(ROWS).tolist() == pytest.approx([1.5 * math.log(2), 2 * math.log(2)])


def test_zipf_entropy_of_the_protocol():
    ranks = torch.arange(1, 130001, dtype=torch.float64)
    rows = torch.log_softmax(-2.31 * ranks.log(), 0)[None].float()
    assert float(maths.entropy(rows)) == pytest.approx(1.203, abs=1e-3)
    assert rows[0, :3].exp().tolist() == pytest.approx([0.7007, 0.1413, 0.0554], abs=1e-4)


def test_top_and_chosen_and_mass():
    assert maths.top_id(ROWS).tolist() == [0, 0]
    assert maths.top_logprob(ROWS).exp().tolist() == pytest.approx([0.5, 0.25])
    assert maths.chosen(ROWS, 1, 0).exp().tolist()[0] == pytest.approx([0.25, 0.5])
    assert maths.mass(ROWS, 0, 1, 1).tolist() == pytest.approx([0.75, 0.5])
    assert maths.whole(ROWS) is ROWS


def test_top_tokens_are_the_largest_in_order():
    rows = torch.randn(5, 40, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    ids, values = maths.top_ids(rows, 7), maths.top_logprobs(rows, 7)
    for row, found, value in zip(rows, ids, values, strict=True):
        expected = sorted(range(40), key=lambda i: -row[i])[:7]
        assert found.tolist() == expected
        assert value.tolist() == [row[i].item() for i in expected]
