"""`tune` as a user types it: stopped, resumed, measured with `--adapter`; on two processes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import two_processes
from checkpoints import write_llada
from commands import call
from safetensors.torch import load_file

from mdlm_probe.prompts import small_texts
from mdlm_probe.tuning.training_log import TrainingLog

ROOT = Path(__file__).parent.parent.parent
OPTIONS = "--steps 6 --batch 4 --micro-batch 2 --max-masks 40 --context 160 --rate 1e-3".split()
OPTIONS += "--warmup 2 --rank 8 --save-every 2 --device cpu".split()
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "prose.jsonl"
    texts = list(small_texts.prose())[:20]
    lines = [{"prompt": text.prompt, "answer": text.continuation} for text in texts]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def words(data, output, *more):
    return ["tune", "mask-agnostic", "--data", str(data), *OPTIONS, "-o", str(output), *more]


@pytest.mark.slow
def test_stopped_by_ctrl_c_resumed_and_measured(data, tmp_path, monkeypatch):
    log = tmp_path / "cut" / "training.csv"
    written = TrainingLog.append

    def interrupted(self, *row):
        written(self, *row)
        if log.read_text().count("\n") == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLog, "append", interrupted)
        said = call(*words(data, tmp_path / "cut"), code=130).output
    assert "the last checkpoint is that of step 2\n" in said
    assert "resumes" in said
    result = call(*words(data, tmp_path / "cut"))
    assert f"--model tiny-mdlm --adapter {tmp_path / 'cut'}" in result.output
    call(*words(data, tmp_path / "whole"))
    one, two = (tmp_path / name / "adapter_model.safetensors" for name in ("cut", "whole"))
    assert one.read_bytes() == two.read_bytes()
    assert list(pd.read_csv(log).step) == list(range(1, 7))
    asked = ["-m", "tiny-mdlm", "--limit", 1, "--tasks", "verb-smallest", "--masks", "0,20", "-q"]
    monkeypatch.setattr("mdlm_probe.cli.run_probe.show_report", lambda folder: None)
    for name, adapter in (("plain", ""), ("tuned", tmp_path / "cut")):
        call("masks", *asked, "--adapter", adapter, "-o", tmp_path / name)
    plain, tuned = (
        pd.read_csv(tmp_path / name / "masks__tiny-mdlm.csv").logp_right
        for name in ("plain", "tuned")
    )
    assert len(plain) == len(tuned)
    assert (plain != tuned).any()


def test_errors_are_one_message(data, tmp_path):
    result = call("tune", "sft", code=1)
    assert "Error: --data is missing" in result.output
    result = call("tune", "sft", "--data", tmp_path / "none.jsonl", code=1)
    assert "none.jsonl' is no file" in result.output
    result = call("tune", "sfft", "--data", data, code=2)
    assert "did you mean 'sft'?" in result.output
    result = call(*words(data, tmp_path, "--targets", "q_prj"), code=1)
    assert "did you mean 'q_proj'?" in result.output


def test_plan_says_what_it_costs_and_takes_the_same_options(data, tmp_path):
    result = call("plan", *words(data, tmp_path / "none"), "--gpu", "a100")
    assert "20 samples; too long: 0 cut, 0 left out" in result.output
    assert "time on a100" in result.output
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_two_processes_train_what_one_does(data, tmp_path):
    """A random network: the bundled one's gradients are so small that noise in them moves Adam."""
    model = write_llada(tmp_path / "model", context=700)
    own = f"--model {model} --context 700 --steps 4".split()
    call(*words(data, tmp_path / "one", *own))
    typed = words(data, tmp_path / "two", *own, "--micro-batch", "1")
    command = [sys.executable, two_processes.__file__, *typed]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    one, two = (pd.read_csv(tmp_path / name / "training.csv") for name in ("one", "two"))
    assert one.trained_tokens.equals(two.trained_tokens)
    assert one.loss.to_list() == pytest.approx(two.loss.to_list(), rel=1e-5)
    first, second = (
        load_file(tmp_path / name / "adapter_model.safetensors") for name in ("one", "two")
    )
    assert max((first[n] - second[n]).abs().max().item() for n in first) < 1e-6
