"""What an export may write, and that it writes the same twice."""

import json

import made_runs
import pytest
from made_runs import FILES

from mdlm_probe import exports


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_equal_runs_give_equal_files_and_may_be_exported_again(run, exported, tmp_path):
    made_runs.call("export", run, "--to", "parquet", "--to", "card,jsonl", "-o", tmp_path / "b")
    made_runs.call("export", run, "--to", FILES, "-o", tmp_path / "b")
    assert contents(exported) == contents(tmp_path / "b")
    own = json.loads((exported / "export.json").read_text())
    assert own.keys() == contents(exported).keys() - {"export.json"}


def test_a_file_of_somebody_else_is_not_overwritten(run, tmp_path):
    (tmp_path / "masks.md").write_text("my notes")
    said = made_runs.call("export", run, "--to", "markdown", "-o", tmp_path, code=1)
    assert "no export wrote it" in said
    assert contents(tmp_path) == {"masks.md": b"my notes"}


def test_the_runs_own_files_are_left_alone(run, tmp_path):
    before = contents(run)
    made_runs.call("export", run, "--to", FILES, "-o", tmp_path)
    assert contents(run) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "parqet"], "did you mean 'parquet'?"),
        (["--to", "jsonl", "--probe", "mask"], "did you mean 'masks'?"),
    ],
)
def test_unknown_names_get_the_nearest_right_one(run, words, said, tmp_path):
    assert said in made_runs.call("export", run, *words, "-o", tmp_path / "out", code=1)
    assert not (tmp_path / "out").exists()


def test_no_run_is_an_error(tmp_path):
    assert "no run in" in made_runs.call("export", tmp_path, "--to", "jsonl", code=1)


def test_a_studys_run_without_rows_is_left_out_and_named(run, tmp_path):
    (tmp_path / "good").symlink_to(run)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "run.json").write_text('{"masks__m": {"status": "started"}}')
    said = made_runs.call("export", tmp_path, "--to", "latex", "--probe", "locality")
    assert "empty left out: " in said
    assert (tmp_path / "export" / "good" / "locality-index.tex").exists()


def test_every_format_makes_files_or_sends():
    assert set(exports.formats()) == {*FILES.split(","), "wandb", "trackio"}
    for name in exports.formats():
        module = exports.catalog.load("exports", name)
        assert hasattr(module, "files") != hasattr(module, "send")
