"""The tool in Python: the names, defaults and bytes of the command line."""

import json
from pathlib import Path

import pytest
from commands import call

import mdlm_probe as mp
from mdlm_probe.cli import run_probe
from mdlm_probe.cli.typed_values import parsed, typed_line
from mdlm_probe.core import catalog

ROOT = Path(__file__).parent.parent.parent.parent
REFERENCE = ROOT / "results" / "reference"
SMALL = {"tasks": "verb-smallest", "limit": 2, "shots": 1, "distractors": 2, "positions": [0, 2]}
TYPED = "--tasks verb-smallest --limit 2 --shots 1 --distractors 2 --positions 0,2".split()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api") / "out"
    return mp.run("locality", model=["oracle", "oracle-causal"], output=folder, quiet=True, **SMALL)


@pytest.mark.slow
def test_a_run_is_the_bytes_of_the_command(run, tmp_path):
    call("locality", "-m", "oracle", "-m", "oracle-causal", *TYPED, "-q", "-o", tmp_path / "out")
    for name in ("locality__oracle.csv", "locality__oracle-causal.csv"):
        assert (run.folder / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_rows_tables_and_configuration(run):
    assert run.frame.position.tolist() == [0, 0, 2, 2] * 2
    assert run.frame.model.unique().tolist() == ["oracle", "oracle-causal"]
    assert run.configuration["locality__oracle"]["config"]["options"]["limit"] == 2
    assert list(run.tables) == ["accuracy", "index", "calibration", "reliability"]
    assert run.runs == {"": run}
    assert "locality: " in run._repr_html_()


@pytest.mark.parametrize("end", ["svg", "png", "pdf"])
def test_a_chart_is_shown_and_saved(run, tmp_path, end):
    chart = run.charts["locality"]
    assert chart._repr_svg_().startswith("<svg")
    begins = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF"}[end]
    assert chart.save(tmp_path / f"a.{end}").read_bytes().startswith(begins)


def test_a_chart_has_no_other_format(run, tmp_path):
    with pytest.raises(mp.ProbeError, match=r"ends in '\.gif'"):
        run.charts["locality"].save(tmp_path / "a.gif")


@pytest.mark.slow
def test_a_study_has_its_runs():
    study = mp.load(REFERENCE)
    asked = json.loads((REFERENCE / "study.json").read_text())["runs"]
    assert list(study) == [name for name in asked if (REFERENCE / name).is_dir()]
    assert study["masks"].frame.model.nunique() == 5
    assert set(study["needle"].charts) >= {"needle"}
    for wrong in (lambda: study.frame, lambda: study.tables, lambda: study.configuration):
        with pytest.raises(mp.ProbeError, match=r"expected: one of them: run\[NAME\]"):
            wrong()


def test_two_runs_are_compared():
    both = REFERENCE / "locality"
    pair = [("tiny-mdlm", "tiny-arlm")]
    found = mp.compare(mp.load(both), both, model=pair)
    assert set(found.model_b) == {"tiny-arlm"}
    assert found.difference.notna().any()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: mp.run("localty"), "did you mean 'locality'"),
        (lambda: mp.run("locality", limits=2), "did you mean 'limit'"),
        (lambda: mp.run("locality", limit="x"), "limit"),
        (lambda: mp.run("locality", limit=[1, 2]), "limit is \\[1, 2\\]; expected one value"),
        (lambda: mp.run("locality", model="no-such-model"), "no-such-model"),
        (lambda: mp.load("no-such-folder"), "no run in no-such-folder"),
        (lambda: mp.tune("sfd"), "did you mean 'sft'"),
        (lambda: mp.study("smok"), "smok"),
        (lambda: mp.compare(REFERENCE, REFERENCE, points="x"), "main, all or none"),
    ],
)
def test_what_a_user_can_mend_is_one_error(wrong, said):
    with pytest.raises(mp.ProbeError, match=said):
        wrong()


@pytest.mark.parametrize("probe", catalog.names("probe"))
def test_defaults_are_those_of_the_command(probe):
    command = run_probe.probe_command(probe)
    with parsed(command, {}) as ours, command.make_context(probe, []) as typed:
        assert ours.params == typed.params


def test_values_are_typed_as_a_person_would():
    command = run_probe.probe_command("masks")
    given = {"model": ["a", Path("b")], "masks": [0, "5%"], "fresh": True, "quiet": False}
    line = typed_line(command.params, given | {"limit": None})
    assert line == ["--model=a", "--model=b", "--masks=0,5%", "--fresh"]


def test_nothing_else_is_public():
    names = ["ProbeError", "Run", "__version__", "compare", "load", "run", "study", "tune"]
    assert dir(mp) == names
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mp.nothing


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = json.loads((ROOT / "docs" / "notebook.ipynb").read_text())["cells"]
    known = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec("".join(cell["source"]), known)
    assert len(known["compared"])
