"""The real trackers, where they are installed: a run is kept on this machine."""

import contextlib
import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def tracked(run, folder, name, times=1, **environment):
    """A real tracker in a process of its own; what it says of so many exports."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"needs pip install 'mdlm-probe[{name}]'")
    words = ["export", run, "--to", name, "--project", "tests", "--name", "n", "-o", folder / "out"]
    code = f"from mdlm_probe.cli import main\nfor _ in range({times}):\n"
    code += f"    main({[*map(str, words)]}, standalone_mode=False)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_wandb_keeps_a_run_offline(run, made, tmp_path):
    said = tracked(run, tmp_path, "wandb", WANDB_MODE="offline")
    assert "wandb has n: offline; wandb sync" in said
    (path,) = (tmp_path / "out" / "wandb").glob("offline-run-*/files/media/table/masks/drop_*.json")
    kept = json.loads(path.read_text())
    table = made["masks"].tables["drop"]
    assert kept["columns"] == list(table.columns)
    points = [dict(zip(kept["columns"], row, strict=True))["points"] for row in kept["data"]]
    assert points == pytest.approx(table["points"].tolist())
    assert list((tmp_path / "out" / "wandb").glob("offline-run-*/files/media/images/**/*.png"))


@pytest.mark.slow
def test_trackio_keeps_a_run_on_this_machine(run, made, tmp_path):
    said = tracked(run, tmp_path, "trackio", times=2, TRACKIO_DIR=str(tmp_path / "kept"))
    assert "trackio has n: trackio show --project tests" in said
    assert "trackio has n-2: " in said
    with contextlib.closing(sqlite3.connect(tmp_path / "kept" / "tests.db")) as store:
        rows = store.execute("select run_name, step from metrics order by id").fetchall()
        assert rows == [("n", 0), ("n-2", 0)]
        ((logged,),) = store.execute("select metrics from metrics where run_name = 'n'").fetchall()
        ((config,),) = store.execute("select config from configs where run_name = 'n'").fetchall()
    logged, config = json.loads(logged), json.loads(config)
    table = made["masks"].tables["drop"]
    rows = logged["masks/drop"]["_value"]
    assert [row["points"] for row in rows] == pytest.approx(table["points"].tolist())
    assert config["masks__tiny-mdlm"]["options"]["masks"] == ["0", "50", "200", "400", "50%"]
    assert list((tmp_path / "kept" / "media").glob("**/*.png"))


@pytest.mark.slow
def test_trackio_follows_a_training(tmp_path):
    pytest.importorskip("trackio")
    (tmp_path / "data.jsonl").write_text('{"prompt": "the old king", "answer": " saw a boat."}')
    words = "tune sft --data data.jsonl --steps 2 --batch 1 --micro-batch 1 --rank 2 -q".split()
    done = subprocess.run(
        [sys.executable, "-m", "mdlm_probe", *words, "--track", "trackio", "-o", "mine"],
        env=os.environ | {"TRACKIO_DIR": str(tmp_path / "kept"), "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with contextlib.closing(sqlite3.connect(tmp_path / "kept" / "mdlm-probe.db")) as store:
        rows = [json.loads(m) for (m,) in store.execute("select metrics from metrics order by id")]
    losses = [row["train/loss"] for row in rows if "train/loss" in row]
    log = (tmp_path / "mine" / "training.csv").read_text().splitlines()
    assert losses == pytest.approx([float(line.split(",")[1]) for line in log[1:]], rel=1e-4)
