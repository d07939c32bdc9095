"""`mdlm-probe compare`: a bundled model against itself, with an adapter, and a changed copy."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from commands import call
from safetensors.torch import load_file, save_file

from mdlm_probe.cli import run_probe
from mdlm_probe.core.files import PACKAGE

TINY = PACKAGE / "models" / "tiny" / "tiny-mdlm"
SETS = "verb-smallest,animal-largest"
ASKED = ["--limit", 3, "--tasks", SETS, "--shots", 2, "--distractors", 4, "-q"]
RIGHT = "probability of the right answer (points)"
ASKED += ["--positions", "0,4", "--lexicon", "small", "--answer", "word"]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """Runs of the bundled model, of the same with an adapter, and of a changed copy of it."""
    home = tmp_path_factory.mktemp("tuned")
    weights, generator = load_file(TINY / "model.safetensors"), torch.Generator().manual_seed(0)
    shutil.copytree(TINY, home / "copy")
    changed = {
        name: w + 0.5 * w.std() * torch.randn(w.shape, generator=generator) if w.ndim > 1 else w
        for name, w in weights.items()
    }
    save_file(changed, home / "copy" / "model.safetensors", metadata={"format": "pt"})
    adapter = {}
    for name in (n.removesuffix(".weight") for n in weights if n.endswith("q_proj.weight")):
        at, (height, width) = f"base_model.model.{name}.", weights[f"{name}.weight"].shape
        adapter[f"{at}lora_A.weight"] = torch.randn(2, width, generator=generator) * 0.3
        adapter[f"{at}lora_B.weight"] = torch.randn(height, 2, generator=generator) * 0.3
    (home / "adapter").mkdir()
    save_file(adapter, home / "adapter" / "adapter_model.safetensors")
    told = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["q_proj"]}
    told |= {"bias": "none", "task_type": "CAUSAL_LM", "base_model_name_or_path": "x"}
    (home / "adapter" / "adapter_config.json").write_text(json.dumps(told))
    asked = {
        "base": ["--model", "tiny-mdlm"],
        "adapted": ["--model", "tiny-mdlm", "--adapter", home / "adapter"],
        "changed": ["--model", home / "copy"],
    }
    with pytest.MonkeyPatch.context() as patched:  # what is compared are rows
        patched.setattr(run_probe, "show", lambda job: None)
        for name, model in asked.items():
            call("locality", *model, *ASKED, "--output", home / name)
    return home


@pytest.mark.parametrize("name", ["adapted", "changed"])
def test_base_against_fine_tuned(tuned, name):
    result = call("compare", tuned / "base", tuned / name, "--points", "all")
    written = pd.read_csv(tuned / name / "compare" / "compare.csv")
    sides = [
        pd.read_csv(next((tuned / side).glob("locality__*.csv"))).set_index(
            ["set", "item", "position"]
        )
        for side in ("base", name)
    ]
    by_measure = {"accuracy (points)": [side["correct"] for side in sides]}
    right = [np.exp(side["logp_right"]) for side in sides]
    for measure, (one, other) in (by_measure | {RIGHT: right}).items():
        gap = 100 * (other - one)
        lines = written[written["measure"] == measure].set_index("point")["difference"]
        assert lines["all"] == pytest.approx(gap.mean(), rel=1e-4, abs=1e-9)
        for position, own in gap.groupby(level="position"):
            assert lines[f"position {position}"] == pytest.approx(own.mean(), rel=1e-4, abs=1e-9)
    assert gap.abs().mean() > 0.1
    tests = written["p"][written["point"] == "all"].notna().sum()
    assert f"p_holm: corrected for the {tests} tests over whole sweeps; at points" in result.output
    assert "before Holm's correction" in result.output
    assert "difference: B minus A" in result.output
    assert (tuned / name / "compare" / "locality.png").stat().st_size > 10_000
    assert ("adapter " in result.output) == (name == "adapted")
    assert "95 % of difference" in result.output


def test_a_run_with_itself_has_no_difference(tuned, tmp_path):
    result = call("compare", tuned / "base", tuned / "base", "--output", tmp_path)
    assert "both sides have the same weights" in result.output
    written = pd.read_csv(tmp_path / "compare.csv")
    assert (written["difference"] == 0).all()
    assert (written["p_holm"] == 1).all()
    assert not (tuned / "base" / "compare").exists()


@pytest.mark.usefixtures("undrawn")
def test_the_command_refuses_without_a_traceback(tuned, tmp_path):
    other = [word if word != 4 else 5 for word in ASKED]
    call("locality", "--model", "tiny-mdlm", *other, "-o", tmp_path / "b")
    result = call("compare", tuned / "base", tmp_path / "b", code=1)
    assert "options.distractors: 4 -> 5" in result.output
    anew = "hint: measure B, locality of tiny-mdlm, anew with --distractors 4 (checkpoints"
    assert anew in result.output
    assert not (tmp_path / "b" / "compare").exists()


@pytest.mark.usefixtures("undrawn")
def test_a_folder_of_weights_against_its_base_is_told_the_options_to_give(tuned, tmp_path):
    """A folder has no defaults in the registry; with the options that are named it is compared."""
    tasks = ["--tasks", "verb-smallest", "--positions", "0,4", "--shots", 2, "--distractors", 4]
    asked = {"base": ["-m", "tiny-mdlm", "--limit", 2], "own": ["-m", tuned / "copy"]}
    asked["own"] += ["--limit", 1]
    for name, model in asked.items():
        call("locality", *model, *tasks, "-q", "-o", tmp_path / name)
    result = call("compare", tmp_path / "base", tmp_path / "own", code=1)
    flags = "--lexicon small --answer word --limit 2"
    assert f"hint: measure B, locality of copy, anew with {flags} (" in result.output
    asked["own"] = ["-m", tuned / "copy", *flags.split()]
    call("locality", *asked["own"], *tasks, "-q", "-o", tmp_path / "own", "--fresh")
    call("compare", tmp_path / "base", tmp_path / "own")


def test_a_file_is_no_folder_for_output(tuned, tmp_path):
    (tmp_path / "file").write_text("kept")
    result = call("compare", tuned / "base", tuned / "base", "-o", tmp_path / "file", code=1)
    assert f"--output {tmp_path / 'file'} is a file\nexpected: a folder" in result.output
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("text", ["=", "a=", "=b"])
def test_a_pair_of_models_is_typed_in_full(tuned, text):
    result = call("compare", tuned / "base", tuned / "base", "--model", text, code=1)
    assert "expected: A=B" in result.output


def test_the_help_has_an_example():
    result = call("compare", "--help")
    assert "Example: mdlm-probe compare results/base results/tuned" in result.output
