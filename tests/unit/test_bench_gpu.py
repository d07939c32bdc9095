"""The script of everything that needs a GPU, tried out on a CPU with a small model."""

import json

import pytest
import torch

from bench import gpu

MEASURED = [name for name in gpu.SECTIONS if name != "tests"]
"""All but the section that starts pytest."""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    output = tmp_path_factory.mktemp("bench") / "gpu.json"
    asked = ["--device", "cpu", "--tiny", "--only", ",".join(MEASURED), "--output", str(output)]
    assert gpu.main(asked) == 0
    return json.loads(output.read_text())


@pytest.mark.slow
def test_every_section_measures_something(found):
    assert found["faults"] == {}
    assert set(found["sections"]) == set(MEASURED)
    values = {(row["section"], row["what"]): row["value"] for row in found["rows"]}
    assert len(values) == len(found["rows"])
    assert all(value >= 0 for value in values.values())
    shares = [v for (_, what), v in values.items() if what == "share of the matrix-product rate"]
    assert len(shares) == 7  # two ways of scoring, four probes and `eval`
    planned = [v for (_, what), v in values.items() if what == "memory that `plan` says"]
    assert len(planned) == 4
    assert min(planned + shares) > 0


@pytest.mark.slow
def test_the_published_loop_writes_the_same_tokens(found):
    (row,) = [r for r in found["rows"] if r["section"].startswith("decoding in float32")]
    assert (row["value"], row["goal"]) == (1.0, 1.0)


def test_a_section_that_fails_or_finds_no_time_is_said_and_the_others_go_on(
    monkeypatch, tmp_path, capsys
):
    def broken(setting):
        yield gpu.Row("broken", "before it fails", 1.0, "")
        raise RuntimeError("no kernel")

    sections = {
        "broken": broken,
        "sound": lambda setting: iter([gpu.Row("sound", "is", 3, "x", 2)]),
    }
    monkeypatch.setattr(gpu, "SECTIONS", sections)
    output = tmp_path / "gpu.json"
    asked = ["--device", "cpu", "--tiny", "--output", str(output)]
    assert gpu.main(asked) == 1
    found = json.loads(output.read_text())
    assert found["faults"] == {"broken": "RuntimeError: no kernel"}
    assert [row["section"] for row in found["rows"]] == ["broken", "sound"]
    assert "goal 2: met" in capsys.readouterr().out
    assert gpu.main([*asked, "--minutes", "0"]) == 1
    assert set(json.loads(output.read_text())["faults"]) == {"broken", "sound"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
def test_without_a_gpu_nothing_is_measured(tmp_path, capsys):
    assert gpu.main(["--output", str(tmp_path / "gpu.json")]) == 0
    assert "no GPU here" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
