"""A folder of training checkpoints through a probe, its report and the leaderboard."""

import json
import shutil
from pathlib import Path

import pytest
from checkpoints import write_llada
from commands import call

from mdlm_probe import models

ASKED = ("--positions", "0,20", "--shots", "1", "--distractors", "20", "--limit", "1")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two trainings: three steps of one, the last named by Trainer's file, one of the
    other."""
    home = tmp_path_factory.mktemp("training")
    tokenizer = Path(models.registry()["tiny-mdlm"].source)
    for seed, name in enumerate(("a/checkpoint-20", "a/checkpoint-100", "a/final", "b/step_50")):
        folder = write_llada(home / name, context=1024, seed=seed, vocab=len_of(tokenizer))
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(tokenizer / file, folder)
        told = json.loads((tokenizer / "config.json").read_text())
        own = json.loads((folder / "config.json").read_text())
        kept = {k: told[k] for k in ("mask_token_id", "eos_token_id", "pad_token_id") if k in told}
        (folder / "config.json").write_text(json.dumps(own | kept))
    (home / "a" / "final" / "trainer_state.json").write_text('{"global_step": 120}')
    folders = ("--models", home / "a", "--models", home / "b")
    call("locality", *folders, *ASKED, "--output", home / "run")
    return home


def len_of(folder):
    return json.loads((folder / "config.json").read_text())["vocab_size"]


def test_run_json_says_training_and_step(run):
    entries = json.loads((run / "run" / "run.json").read_text())
    found = {e["config"]["model"]: e["training"] for e in entries.values()}
    places = {name: str((run / name).resolve()) for name in "ab"}
    assert found == {
        "a-checkpoint-20": {"training": places["a"], "step": 20},
        "a-checkpoint-100": {"training": places["a"], "step": 100},
        "a-final": {"training": places["a"], "step": 120},
        "b-step_50": {"training": places["b"], "step": 50},
    }


def test_the_report_prints_steps_in_their_order_and_draws_them(run):
    printed = call("report", run / "run").output
    (index,) = [part for part in printed.split("\n\n") if part.startswith("locality: index")]
    steps = [line.split()[1] for line in index.splitlines()[1:]]
    assert list(dict.fromkeys(steps)) == ["step", "20", "100", "120", "50"]
    assert f"wrote {run / 'run' / 'training-steps-locality-index.png'}" in printed


def test_the_leaderboard_has_a_column_of_steps(run):
    printed = call("leaderboard", run / "run", "--to", "html", "-o", run / "table").output
    rows = [line.split()[:2] for line in printed.splitlines() if line.startswith(("a-", "b-"))]
    assert rows == [
        *(["a-checkpoint-20", "20"], ["a-checkpoint-100", "100"], ["a-final", "120"]),
        ["b-step_50", "50"],
    ]
    assert (run / "table" / "leaderboard-training-steps-locality-index.pdf").exists()
