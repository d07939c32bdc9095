"""What an export may write, and that it writes the same twice."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import export_fixtures
import pytest
from commands import call
from made_runs import FILES

from mdlm_probe.reports import exports
from mdlm_probe.reports.exports import export_folder

pytestmark = pytest.mark.usefixtures("reports_once")


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.slow
def test_equal_runs_give_equal_files_and_may_be_exported_again(
    run, exported, tmp_path, monkeypatch
):
    monkeypatch.setattr(export_fixtures, "REPORTS", {})  # their tables are made anew
    call("export", run, "--to", "parquet", "--to", "card,jsonl", "-o", tmp_path / "b")
    call("export", run, "--to", FILES, "-o", tmp_path / "b")
    assert contents(exported) == contents(tmp_path / "b")
    own = json.loads((exported / "export.json").read_text())
    assert own.keys() == contents(exported).keys() - {"export.json"}


def test_a_file_of_somebody_else_is_not_overwritten(run, tmp_path):
    (tmp_path / "masks.md").write_text("my notes")
    said = call("export", run, "--to", "markdown", "-o", tmp_path, code=1).output
    assert "no export wrote it" in said
    assert contents(tmp_path) == {"masks.md": b"my notes"}


@pytest.mark.slow
def test_a_file_changed_by_hand_is_not_overwritten(run, tmp_path):
    words = ["export", run, "--to", "markdown", "-o", tmp_path]
    call(*words)
    first = contents(tmp_path)
    path = tmp_path / "masks.md"
    path.write_text(path.read_text() + "my notes")
    (tmp_path / "locality.md").unlink()
    edited = contents(tmp_path)
    said = call(*words, code=1).output
    assert "masks.md was changed since it was exported" in said
    assert "delete it, or keep it: --output DIR" in said
    assert contents(tmp_path) == edited  # nothing was written, what was missing neither
    path.unlink()
    call(*words)
    assert contents(tmp_path) == first


NEW = {"a.md": b"new a", "b.md": b"new b", "sub/c.md": b"new c"}


@pytest.mark.parametrize("old", [{}, {"a.md": b"old a", "b.md": b"old b", "x.md": b"old x"}])
@pytest.mark.parametrize("call", range(12))
def test_a_process_killed_anywhere_leaves_whole_files_and_no_lock(old, call, tmp_path, monkeypatch):
    """Every change of the folder is the last one in turn, half of it written."""
    if old:
        export_folder.write(tmp_path, old)
    left = [call]

    def dying(function, before):
        def changes(*given, **options):
            if left[0] == 0:
                before(*given)
                raise KeyboardInterrupt
            left[0] -= 1
            return function(*given, **options)

        return changes

    def half(path, data, *rest):
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])

    with monkeypatch.context() as patched:
        writes = dying(Path.write_bytes, half)
        patched.setattr(Path, "write_bytes", lambda path, data: writes(path, data))
        patched.setattr(os, "replace", dying(os.replace, lambda *given: None))
        try:
            export_folder.write(tmp_path, NEW)
            killed = False
        except KeyboardInterrupt:
            killed = True
    assert killed == (call < 2 * len(NEW) + 4)
    for name, content in NEW.items():
        path = tmp_path / name
        assert not path.exists() or path.read_bytes() in (content, old.get(name))
    export_folder.write(tmp_path, {"y.md": b"another format"})
    export_folder.write(tmp_path, NEW)
    kept = {name: content for name, content in old.items() if name not in NEW}
    found = contents(tmp_path)
    own = json.loads(found.pop("export.json"))
    assert found == NEW | kept | {"y.md": b"another format"}
    assert own == {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}


def test_export_json_of_something_else_is_an_error(tmp_path):
    for text in ("[1]", '{"a": 1}', "{"):
        (tmp_path / "export.json").write_text(text)
        with pytest.raises(exports.ProbeError, match=r"export\.json"):
            export_folder.write(tmp_path, NEW)


@pytest.mark.parametrize("formats", ["markdown", "latex,card", "trackio"])
def test_rows_alone_are_refused_where_there_are_none(run, formats, tmp_path):
    words = ["export", run, "--only", "rows", "-o", tmp_path / "out", "--to"]
    said = call(*words, formats, code=1).output
    assert f"--only rows leaves nothing for {formats.replace(',', ', ')}" in said
    assert "--only with csv or jsonl or parquet" in said
    assert not (tmp_path / "out").exists()
    if formats == "markdown":
        call(*words, "jsonl,markdown")
        assert (tmp_path / "out" / "masks.md").exists()
        assert not (tmp_path / "out" / "masks-drop.jsonl").exists()


def damaged(run, folder, change):
    """A copy of the run with a CSV changed; what exporting it says."""
    shutil.copytree(run, folder)
    change(folder / "masks__tiny-mdlm.csv")
    said = call("export", folder, "--to", "markdown", "--probe", "masks").output
    return [line for line in said.splitlines() if "changed or are missing" in line]


@pytest.mark.slow
def test_lost_rows_of_a_finished_run_are_said(run, tmp_path):
    path = run / "masks__tiny-mdlm.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    size = path.stat().st_size
    assert damaged(run, tmp_path / "whole", lambda path: None) == []
    start = "masks__tiny-mdlm has rows that were changed or are missing: "
    gone = damaged(run, tmp_path / "gone", Path.unlink)
    assert gone == [f"{start}there is no CSV, {size} when it finished"]
    cut = damaged(run, tmp_path / "cut", lambda path: path.write_bytes(b"".join(lines[:-1])))
    assert cut == [f"{start}its CSV has {size - len(lines[-1])} bytes, {size} when it finished"]
    for csv in (tmp_path / "gone").glob("*.csv"):
        csv.unlink()
    said = call("export", tmp_path / "gone", "--to", "markdown", code=1).output
    assert "holds no rows any more: " in said
    assert f"; {start}there is no CSV" in said


def test_the_runs_own_files_are_left_alone(run, tmp_path):
    before = contents(run)
    call("export", run, "--to", FILES, "-o", tmp_path)
    assert contents(run) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "parqet"], "did you mean 'parquet'?"),
        (["--to", "jsonl", "--probe", "mask"], "did you mean 'masks'?"),
    ],
)
def test_unknown_names_get_the_nearest_right_one(run, words, said, tmp_path):
    assert said in call("export", run, *words, "-o", tmp_path / "out", code=1).output
    assert not (tmp_path / "out").exists()


def test_no_run_is_an_error(tmp_path):
    assert "no run in" in call("export", tmp_path, "--to", "jsonl", code=1).output


def test_a_studys_run_without_rows_is_left_out_and_named(run, tmp_path):
    (tmp_path / "good").symlink_to(run)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "run.json").write_text('{"masks__m": {"status": "started"}}')
    said = call("export", tmp_path, "--to", "latex", "--probe", "locality").output
    assert "empty left out: " in said
    assert (tmp_path / "export" / "good" / "locality-index.tex").exists()


FORMATS = {*FILES.split(","), "csv", "datapackage", "wandb", "trackio"}


def test_every_format_makes_files_or_sends():
    assert set(exports.catalog.names("format")) == FORMATS
    for name in exports.catalog.names("format"):
        module = exports.catalog.load("format", name)
        assert hasattr(module, "files") != hasattr(module, "send")
