"""Every dense family through the whole path: a folder in its authors' format, probes, a tuning."""

import json

import pandas as pd
import pytest
from commands import call
from dense_checkpoints import BLOCK_SIZES, DENSE, write_dense
from small_job import Log

from mdlm_probe import models
from mdlm_probe.runs import runner
from mdlm_probe.runs.executors import InProcess
from mdlm_probe.runs.plan import Job, prepare

PROBES = {
    "decay": {"masks": 6, "limit": 2},
    "locality": {"tasks": ("verb-smallest",), "limit": 1, "shots": 1, "distractors": 1},
}
WHOLE = [name for name in sorted(DENSE) if not DENSE[name].block]


def named(name):
    """The options that say what config.json doesn't."""
    return ("--block-size", BLOCK_SIZES[name]) if name in BLOCK_SIZES else ()


def measure(probe, folder, load, out, executor=None):
    """Without a report, in which no family shows: a command of the tests below makes one."""
    plan = prepare(Job(probe, str(folder), PROBES[probe], load, out))
    return pd.read_csv(runner.run(plan, Log(), executor or InProcess()))


@pytest.mark.parametrize("name", sorted(DENSE))
def test_probes_measure_it(tmp_path, name):
    folder, kind = write_dense(tmp_path / "m", name, shards=2), DENSE[name]
    load, executor = models.LoadOptions(block_size=BLOCK_SIZES.get(name)), InProcess()
    for probe in PROBES:
        out = tmp_path / probe
        assert len(measure(probe, folder, load, out, executor))
        run = json.loads((out / "run.json").read_text())[f"{probe}__m"]
        entry = run["model"]["entry"]
        assert (entry["family"], entry["block"]) == (kind.family, kind.block)
        assert (entry["mask_id"], entry["shift"]) == (kind.mask, kind.shift)
        assert ("block_size" in run["config"]["load"]) == (name in BLOCK_SIZES)


def test_a_block_changes_what_is_measured(tmp_path):
    folder, out = write_dense(tmp_path / "m", "a2d-qwen3"), tmp_path / "4"
    whole = measure("decay", folder, models.LoadOptions(block_size=0), tmp_path / "0")
    options = ("--masks", 6, "--limit", 2, "--block-size", 4)
    call("decay", "--model", folder, *options, "-q", "-o", out)
    in_blocks = pd.read_csv(out / "decay__m.csv")
    assert len(whole) == len(in_blocks)
    assert list(whole) == list(in_blocks)
    assert not whole.equals(in_blocks)


def test_what_config_json_leaves_open_is_asked_for(tmp_path):
    folder = write_dense(tmp_path / "m", "a2d-qwen3")
    told = call("decay", "--model", folder, "-o", tmp_path / "out", code=1).output
    assert "Error: --block-size:" in told or "block-size" in told.splitlines()[1]
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------- tuning


def tune(tmp_path, name, *more, code=0):
    folder = write_dense(tmp_path / "m", name)
    rows = [{"prompt": f"cat dog {n}", "answer": " red" * (1 + n % 4)} for n in range(8)]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = (
        "--data",
        tmp_path / "data.jsonl",
        "--steps",
        2,
        "--batch",
        2,
        "--context",
        60,
        "--micro-batch",
        1,
    )
    where = ("--output", tmp_path / "out", "--device", "cpu", "--dtype", "float32", "-q")
    return folder, call("tune", "sft", "--model", folder, *options, *where, *more, code=code)


@pytest.mark.parametrize("name", WHOLE)
def test_an_adapter_is_trained_and_read(tmp_path, name):
    folder, _ = tune(tmp_path, name, *named(name))
    told = json.loads((tmp_path / "out" / "mdlm_probe.json").read_text())
    assert told["config"].get("block_size") == (0 if name in BLOCK_SIZES else None)
    out = tmp_path / "decay"
    load = models.LoadOptions(adapter=str(tmp_path / "out"), block_size=BLOCK_SIZES.get(name))
    assert len(measure("decay", folder, load, out))
    run = json.loads((out / "run.json").read_text())["decay__m"]
    adapter = run["model"]["adapter"]
    assert adapter["merged"]
    assert "unmatched" not in adapter
    assert adapter["modules"] % DENSE[name].network.get("layers", 2) == 0


@pytest.mark.parametrize("name", ["sdar", "fast_dllm", "a2d-bd3lm"])
def test_what_attends_in_blocks_is_not_tuned(tmp_path, name):
    told = tune(tmp_path, name, *named(name), code=1)[1].output
    assert f"'m' can't be tuned: it attends in blocks of {DENSE[name].block}" in told
    assert not (tmp_path / "out").exists()
