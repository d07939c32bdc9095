"""The benchmark of experts, tried out at a size that takes no time."""

import pytest
import torch

from bench import experts


def test_all_ways_compute_the_same(capsys):
    found = experts.measured(experts.TINY[0])
    assert set(found.seconds) == {"ours", "by expert", "by token"}
    assert min(found.seconds.values()) > 0
    assert found.distance["by token"] == 0 <= max(found.distance.values()) < 1e-5
    experts.main(["--tiny"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("64 experts, 8 for a token")
    assert len(lines) == 1 + len(experts.TINY)


def test_one_by_one_is_the_sum_over_chosen_experts():
    layer, states, chosen, weights = experts.layer(experts.Size(6, 4, 3))
    gate, up = (layer.gate_up_proj @ states[1]).chunk(2, dim=1)  # of every expert
    every = torch.einsum("ehi,ei->eh", layer.down_proj, torch.nn.functional.silu(gate) * up)
    expected = (every[chosen[1]] * weights[1, :, None]).sum(0)
    row = experts.one_by_one(layer, states, chosen, weights)[1]
    assert row.detach() == pytest.approx(expected.detach(), abs=1e-6)
