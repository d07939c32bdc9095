"""Runs of a probe with several kinds of rows: a file for each, and all that holds of one file."""

import json
import random
import shutil

import pytest
from click.testing import CliRunner
from loaded_once import remembering
from small_job import Log

from mdlm_probe import models
from mdlm_probe.analysis import frames
from mdlm_probe.cli import main
from mdlm_probe.core import catalog, csv_file
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import RUN, read_run
from mdlm_probe.reports.rows import load_run
from mdlm_probe.runs import merging, runner
from mdlm_probe.runs.plan import Job, prepare
from mdlm_probe.runs.shards import Shard

pytestmark = pytest.mark.slow

NAME = "joint__oracle"
KINDS = ("joint", "joint-sets", "joint-orders", "joint-budget", "joint-total")
FILES = [f"{stem}__oracle.csv" for stem in KINDS]
OPTIONS = {"tasks": ("prose",), "limit": 1, "masks": 4, "length": 4, "random": 1, "draws": 1}
OPTIONS |= {"budget": (2,), "orders": ("left_to_right", "random"), "anchors": 2}
OPTIONS |= {"measure": ("pairs", "sets", "orders", "budget", "total")}


def job(folder, **changes):
    fields = {"options": OPTIONS, "output": folder, "batch_tokens": 60} | changes
    return Job("joint", "oracle", **fields)


def measured(folder, **changes):
    log = Log()
    runner.run(prepare(job(folder, **changes)), log)
    return log


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*__*.csv")}


@pytest.fixture(scope="module", autouse=True)
def loaded_once():
    """All runs here are of one model."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(models, "load", remembering())
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    measured(folder)
    return folder


@pytest.fixture(scope="module")
def thirds(tmp_path_factory):
    """Three shards, for looking at."""
    home = tmp_path_factory.mktemp("shards")
    for index in (1, 2, 3):
        measured(home / str(index), shard=Shard(index, 3))
    return home


def test_every_kind_has_a_file_and_run_json_knows_their_sizes(whole):
    found = contents(whole)
    assert sorted(found) == sorted(FILES)
    assert all(data.count(b"\n") > 1 for data in found.values())
    entry = read_run(whole)[NAME]
    sizes = {"pairs": entry["size"], **entry["sizes"]}
    files = catalog.csv_names("joint", NAME)
    assert sizes == {kind: len(found[name]) for kind, name in files.items()}
    assert not list(whole.glob("*.seal"))
    cells = prepare(job(whole)).cells
    assert entry["cells"] == len(cells)


def test_what_was_not_asked_has_a_file_with_its_heads(tmp_path):
    measured(tmp_path, options=OPTIONS | {"measure": ("sets",)})
    lines = {name: len(data.splitlines()) for name, data in contents(tmp_path).items()}
    assert lines == dict.fromkeys(FILES, 1) | {"joint-sets__oracle.csv": 6}
    rows = frames.frames(tmp_path).rows["joint"]
    assert {kind: len(frame) for kind, frame in rows.items()} == {
        "pairs": 0,
        "sets": 5,
        "orders": 0,
        "budget": 0,
        "total": 0,
    }


def test_a_run_from_before_there_was_such_a_kind_is_finished_and_read(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / "joint-total__oracle.csv").unlink()
    with pytest.raises(ProbeError, match="cannot read"):
        frames.frames(folder)  # rows that were there once are missed
    entries = json.loads((folder / RUN).read_text())
    del entries[NAME]["sizes"]["total"]
    (folder / RUN).write_text(json.dumps(entries))
    found = frames.frames(folder)
    assert found.notes == []
    assert len(found.rows["joint"]["total"]) == 0
    assert "together" in found.rows["joint"]["total"]
    assert {kind for kind, frame in found.rows["joint"].items() if len(frame)} == {
        *("pairs", "sets", "orders", "budget")
    }
    log = measured(folder)
    assert "finished: nothing to do" in log.notes[0]
    assert not (folder / "joint-total__oracle.csv").exists()
    assert list(load_run(folder)) == [*KINDS[:-1]]
    arguments = ["export", str(folder), "--to", "parquet", "--only", "rows"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    written = sorted(path.stem for path in (folder / "export").glob("*.parquet"))
    assert written == ["joint", "joint-budget-rows", "joint-orders-rows", "joint-sets-rows"]


def test_a_finished_run_is_measured_no_more(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    log = measured(tmp_path / "run")
    assert log.starts == []
    assert "nothing to do" in log.notes[-1]


class Killed(BaseException):
    """Stands for kill -9: what comes after it is not done."""


def test_killed_between_any_appends_it_ends_as_if_never_stopped(whole, tmp_path, monkeypatch):
    chance, real, left = random.Random(0), csv_file.append_whole, 0
    measure, known = runner.measured, {}

    def measured_once(probe, files, named, engine, cells):
        """How rows are written is what is tried: a group that is asked for again has the same."""
        group = (*named.items(), *cells)
        if group not in known:
            known[group] = measure(probe, files, named, engine, cells)
        return known[group]

    def append_whole(file, data, end):
        nonlocal left
        left -= 1
        if left <= 0:
            file.write(data[: chance.randrange(len(data) + 1)])
            raise Killed
        real(file, data, end)

    with monkeypatch.context() as patched:
        patched.setattr(runner, "measured", measured_once)
        patched.setattr(csv_file, "append_whole", append_whole)
        patched.setattr(csv_file.CsvFile, "back", _dead(csv_file.CsvFile.back, lambda: left <= 0))
        kills = 0
        while True:
            left = chance.randrange(1, 12)
            try:
                measured(tmp_path)
                break
            except Killed:
                kills += 1
    assert kills > 5
    assert contents(tmp_path) == contents(whole)
    known = {name: read_run(f)[NAME] for name, f in (("a", whole), ("b", tmp_path))}
    assert known["a"]["sizes"] == known["b"]["sizes"]


def _dead(back, is_dead):
    def wrapped(self, mark):
        if not is_dead():
            back(self, mark)

    return wrapped


@pytest.mark.parametrize("name", FILES)
def test_a_finished_file_that_was_edited_is_refused(whole, tmp_path, name):
    shutil.copytree(whole, tmp_path / "run")
    path = tmp_path / "run" / name
    path.write_bytes(path.read_bytes() + b"more\n")
    with pytest.raises(ProbeError, match="seal is missing"):
        measured(tmp_path / "run")
    kind = [*catalog.csv_names("joint", NAME)][FILES.index(name)]
    notes = frames.frames(tmp_path / "run").notes
    assert any(f"CSV of {kind} has {path.stat().st_size} bytes" in note for note in notes)


def test_edited_files_are_measured_afresh(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    for name in FILES:
        with (tmp_path / "run" / name).open("ab") as file:
            file.write(b"more\n")
    measured(tmp_path / "run", fresh=True)
    assert contents(tmp_path / "run") == contents(whole)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_noted_and_refused(whole, tmp_path, name):
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    with pytest.raises(ProbeError, match="seal is missing"):
        measured(tmp_path / "run")
    with pytest.raises(ProbeError, match="cannot read"):
        frames.frames(tmp_path / "run")


def test_shards_merge_to_the_bytes_of_the_whole(whole, thirds, tmp_path):
    parts = [thirds / n for n in "213"]
    merging.merge(parts, tmp_path / "merged", Log().note)
    assert contents(tmp_path / "merged") == contents(whole)
    entry = read_run(tmp_path / "merged")[NAME]
    assert (entry["size"], entry["sizes"]) == (
        read_run(whole)[NAME]["size"],
        read_run(whole)[NAME]["sizes"],
    )
    assert measured(tmp_path / "merged").starts == []


@pytest.mark.parametrize("damage", ["seal", "rows", "file"])
def test_a_damaged_shard_is_not_merged(thirds, tmp_path, damage):
    shutil.copytree(thirds, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "2" / FILES[2]
    if damage == "seal":
        (tmp_path / "2" / f"{NAME}.seal").unlink()
    elif damage == "rows":
        path.write_bytes(path.read_bytes().replace(b"-", b"+", 1))
    else:
        path.unlink()
    with pytest.raises(ProbeError, match=r"seal is missing|was changed|not finished"):
        merging.merge([tmp_path / n for n in "123"], tmp_path / "merged", Log().note)
    assert not (tmp_path / "merged" / FILES[0]).exists()


def test_frames_by_kind_in_python(whole):
    found = load_run(whole)
    assert list(found) == [*KINDS]
    assert found["joint-budget"]["written"].str.len().gt(0).all()
    for name, frame in found.items():
        assert len(frame) == contents(whole)[f"{name}__oracle.csv"].count(b"\n") - 1
