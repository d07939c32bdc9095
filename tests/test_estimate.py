"""Costs from geometry, against counting by hand; and the machine's facts."""

import pytest

from mdlm_probe import estimate, machine, models
from mdlm_probe.models._base import Entry, LoadOptions


def test_llada_8b_by_hand():
    entry = models.resolve("llada-8b")
    body = 32 * (4 * 4096**2 + 3 * 4096 * 12288)
    assert entry.geometry["parameters"] == body + 2 * 126464 * 4096 + 65 * 4096
    cost = estimate.cost(entry, LoadOptions(), "bfloat16", 1e6, 1000, 900, 131072)
    attention = 4 * 32 * 4096 * 900
    head = 1000 * 2 * 126464 * 4096
    assert cost.operations == pytest.approx(1e6 * (2 * body + attention) + head, rel=1e-3)
    # the whole sweep: about 130M tokens, 2e18 operations
    whole = estimate.cost(entry, LoadOptions(), "bfloat16", 130e6, 144_000, 900, 131072)
    assert whole.operations == pytest.approx(2e18, rel=0.1)
    weights = 2 * entry.geometry["parameters"]
    batch = 131072 * (10 * 4096 + 3 * 12288) * 2
    assert whole.memory == pytest.approx(weights + batch + 2 * 131072 / 900 * 126464 * 4, rel=0.01)
    assert cost.memory == pytest.approx(whole.memory, rel=0.01)
    small = estimate.cost(entry, LoadOptions(quantize="4bit"), "bfloat16", 1e6, 1000, 900, 131072)
    assert cost.memory - small.memory == pytest.approx(weights * 0.75)


def test_unknown_geometry_gives_no_numbers():
    entry = Entry("x", "causal", "causal")
    cost = estimate.cost(entry, LoadOptions(), "float32", 1, 1, 1, 1)
    assert (cost.operations, cost.memory) == (None, None)


def test_numbers_for_people():
    assert [estimate.quantity(v) for v in (0, 999, 1234, 2e18, 5e21)] == [
        *("0", "999", "1.23k", "2E", "5e+03E")
    ]
    assert [estimate.duration(v) for v in (3, 89, 600, 7200)] == ["3 s", "89 s", "10 min", "2.0 h"]


def test_the_machine_says_what_it_is(monkeypatch):
    facts = machine.facts()
    assert facts["libraries"]["torch"].startswith("2.")
    assert facts["cores"] >= 1
    assert machine.matmul_rate("cpu", "float32", 256) > 1e6
    monkeypatch.setenv("PATH", "")
    assert machine.driver() == ""
    assert machine.version_of("no-such-package") == ""
