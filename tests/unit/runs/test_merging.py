"""Merging: shards become the bytes of the whole run, or nothing is written."""

import json
import shutil

import pytest
from small_job import Log, job

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import read_run
from mdlm_probe.runs import merging, runner
from mdlm_probe.runs.plan import prepare
from mdlm_probe.runs.shards import Shard

NAME = "locality__oracle"


def measured(folder, **changes):
    return runner.run(prepare(job(folder, **changes)), Log())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The whole run's CSV, and a folder with three shards of it: 12 cells in groups of 2."""
    folder = tmp_path_factory.mktemp("shards")
    for index in (1, 2, 3):
        measured(folder / f"part-{index}", shard=Shard(index, 3))
    return measured(folder / "whole"), folder


@pytest.fixture
def parts(made, tmp_path):
    """Copies of the three shards, which a test may change."""
    return [shutil.copytree(made[1] / f"part-{i}", tmp_path / f"part-{i}") for i in (1, 2, 3)]


def changed(folder, change):
    """Changes the measurement's entry in a run.json."""
    path = folder / "run.json"
    entries = json.loads(path.read_text())
    change(entries[NAME])
    path.write_text(json.dumps(entries))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_the_bytes_are_those_of_the_whole_run(made, parts, tmp_path, order):
    whole, _ = made
    rows = [len((part / whole.name).read_bytes().splitlines()) - 1 for part in parts]
    assert rows == [4, 4, 4]
    log = Log()
    merging.merge([parts[i] for i in order], tmp_path / "merged", log.note)
    assert (tmp_path / "merged" / whole.name).read_bytes() == whole.read_bytes()
    entry, unsharded = (read_run(folder)[NAME] for folder in (tmp_path / "merged", whole.parent))
    assert entry["config"] == unsharded["config"]
    assert {n: entry[n] for n in ("cells", "size", "batch", "status", "model", "refused")} == {
        n: unsharded[n] for n in ("cells", "size", "batch", "status", "model", "refused")
    }
    assert "whole" not in entry
    assert len(entry["sessions"]) == 3
    assert log.notes == [f"{tmp_path / 'merged' / whole.name}: 12 rows of 3 shards"]


def test_what_was_merged_is_a_finished_run(made, parts, tmp_path):
    merging.merge(parts, tmp_path / "merged", Log().note)
    log = Log()
    runner.run(prepare(job(tmp_path / "merged")), log)
    assert log.starts == []
    again = Log()
    merging.merge(parts, tmp_path / "merged", again.note)
    assert "there already" in again.notes[0]


def test_more_shards_than_groups(made, tmp_path):
    folders = [tmp_path / str(index) for index in range(1, 9)]
    for index, folder in enumerate(folders, 1):
        measured(folder, shard=Shard(index, 8))
    merging.merge(folders, tmp_path / "merged", Log().note)
    assert (tmp_path / "merged" / made[0].name).read_bytes() == made[0].read_bytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda entry: entry["batch"].update(cells=3), "batch.cells"),
        (lambda entry: entry["batch"].update(tokens=60), "--batch-tokens"),
        (lambda entry: entry["model"].update(weight_hash="other"), "model.weight_hash"),
        (lambda entry: entry["config"]["options"].update(limit=7), "config.options.limit"),
        (lambda entry: entry.update(cells=3), "has 3 cells"),
        (lambda entry: entry.update(status="started"), "not finished"),
        (lambda entry: entry["config"].update(shard="1/3"), "shard 1/3"),
        (lambda entry: entry["config"].pop("shard"), "holds no shard"),
    ],
)
def test_shards_that_do_not_belong_together(parts, tmp_path, change, said):
    changed(parts[1], change)
    with pytest.raises(ProbeError, match=said):
        merging.merge(parts, tmp_path / "merged", Log().note)
    assert not list((tmp_path / "merged").glob("*.csv"))


def test_a_missing_shard_is_named(parts, tmp_path):
    with pytest.raises(ProbeError, match="missing: 2/3"):
        merging.merge([parts[0], parts[2]], tmp_path / "merged", Log().note)


def test_a_shard_resumes_as_itself_alone(made, tmp_path):
    shutil.copytree(made[1] / "part-1", tmp_path / "part")
    with pytest.raises(ProbeError, match="shard"):
        measured(tmp_path / "part", shard=Shard(2, 3))
    with pytest.raises(ProbeError, match="shard"):
        measured(tmp_path / "part")


def test_a_shard_says_so_in_the_report(parts):
    from mdlm_probe.reports.html import run_facts

    entry = read_run(parts[0])[NAME]
    assert run_facts._left_out({NAME: entry}) == ["oracle: shard 1/3 alone: 4 of 12 cells"]
