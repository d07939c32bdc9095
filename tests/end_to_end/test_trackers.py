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
CODE = """
import contextlib, functools, json, sys
from export_fixtures import made_once
from mdlm_probe.cli import main
from mdlm_probe.reports import pictures, probe_report

draw, drawn = pictures.draw, {}

def drawn_once(data, *how):
    if id(data) not in drawn:
        drawn[id(data)] = data, draw(data, *how)
    return drawn[id(data)][1]

pictures.draw = drawn_once
pictures.Picture.png = functools.cache(pictures.Picture.png)
probe_report.make = made_once
for name, words in json.loads(sys.argv[1]):
    with open(name + ".txt", "a") as file, contextlib.redirect_stdout(file):
        main(words, standalone_mode=False)
"""
"""Commands whose reports, and their figures, are made once for all that they are sent to."""

TRAINING = "tune sft --data data.jsonl --steps 2 --batch 1 --micro-batch 1 --rank 2 -q"


@pytest.fixture(scope="module")
def home(run, tmp_path_factory):
    """What real trackers keep of a run and of a training, in one process of their own.

    What each said of it is in NAME.txt.
    """
    folder = tmp_path_factory.mktemp("trackers")
    (folder / "data.jsonl").write_text('{"prompt": "the old king", "answer": " saw a boat."}')
    export = ["export", str(run), "--project", "tests", "--name", "n", "-o", "out", "--to"]
    typed = [("wandb", [*export, "wandb"])] + [("trackio", [*export, "trackio"])] * 2
    typed += [("trackio", [*TRAINING.split(), "--track", "trackio", "-o", "mine"])]
    typed = [(name, words) for name, words in typed if importlib.util.find_spec(name)]
    own = {"WANDB_MODE": "offline", "TRACKIO_DIR": str(folder / "kept")}
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(typed)],
        env=os.environ | own | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_wandb_keeps_a_run_offline(home, made):
    pytest.importorskip("wandb")
    assert "wandb has n: offline; wandb sync" in (home / "wandb.txt").read_text()
    (path,) = (home / "out" / "wandb").glob("offline-run-*/files/media/table/masks/drop_*.json")
    kept = json.loads(path.read_text())
    table = made["masks"].tables["drop"]
    assert kept["columns"] == list(table.columns)
    points = [dict(zip(kept["columns"], row, strict=True))["points"] for row in kept["data"]]
    assert points == pytest.approx(table["points"].tolist())
    assert list((home / "out" / "wandb").glob("offline-run-*/files/media/images/**/*.png"))


@pytest.mark.slow
def test_trackio_keeps_a_run_on_this_machine(home, made):
    pytest.importorskip("trackio")
    said = (home / "trackio.txt").read_text()
    assert "trackio has n: trackio show --project tests" in said
    assert "trackio has n-2: " in said
    with contextlib.closing(sqlite3.connect(home / "kept" / "tests.db")) as store:
        rows = store.execute("select run_name, step from metrics order by id").fetchall()
        assert rows == [("n", 0), ("n-2", 0)]
        ((logged,),) = store.execute("select metrics from metrics where run_name = 'n'").fetchall()
        ((config,),) = store.execute("select config from configs where run_name = 'n'").fetchall()
    logged, config = json.loads(logged), json.loads(config)
    table = made["masks"].tables["drop"]
    rows = logged["masks/drop"]["_value"]
    assert [row["points"] for row in rows] == pytest.approx(table["points"].tolist())
    assert config["masks__tiny-mdlm"]["options"]["masks"] == ["0", "50", "200", "400", "50%"]
    assert list((home / "kept" / "media").glob("**/*.png"))


@pytest.mark.slow
def test_trackio_follows_a_training(home):
    pytest.importorskip("trackio")
    with contextlib.closing(sqlite3.connect(home / "kept" / "mdlm-probe.db")) as store:
        rows = [json.loads(m) for (m,) in store.execute("select metrics from metrics order by id")]
    losses = [row["train/loss"] for row in rows if "train/loss" in row]
    log = (home / "mine" / "training.csv").read_text().splitlines()
    assert losses == pytest.approx([float(line.split(",")[1]) for line in log[1:]], rel=1e-4)
