"""Studies that train adapters, measure them, and say what they changed."""

import json
import shutil

import pandas as pd
import pytest
from commands import call

from mdlm_probe.cli import study_file
from mdlm_probe.core.run_folder import STUDY
from mdlm_probe.models import _slack
from mdlm_probe.reports import html, probe_report
from mdlm_probe.reports.arms import Arm, _patterns_seen
from mdlm_probe.reports.remedies import EFFECTS, _effects, _listed, remedies
from mdlm_probe.runs import study as studies

RECIPE = {"steps": 2, "batch": 2, "micro-batch": 2, "rank": 2, "rate": 0.01}
MASKS = {"masks": [0, 20], "distractors": 0, "filler": "mask", "limit": 3}
MASKS |= {"tasks": ["animal", "verb", "colour"]}
STUDY_OF = {
    "model": "tiny-mdlm",
    "runs": {
        "masks-tuned": {"probe": "masks", "adapter": "sft", **MASKS},
        "masks": MASKS,
        "sft": {"tune": "sft", "data": "small-few-shot", **RECIPE},
    },
}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A study's folder, and what its command said."""
    folder = tmp_path_factory.mktemp("tunings")
    path = folder / "mine.yaml"
    path.write_text(json.dumps(STUDY_OF))
    with pytest.MonkeyPatch.context() as patch:  # charts are tried with their reports
        patch.setattr(probe_report.pictures, "save", lambda *args: [])
        return folder, call("study", path, "-o", folder / "out", "--tables")


def planted(folder, change):
    """The same study with other rows of the tuned model."""
    path = folder / "masks-tuned" / "masks__tiny-mdlm.csv"
    rows = pd.read_csv(path, keep_default_na=False)
    change(rows)
    rows.to_csv(path, index=False)
    return helped(folder)


def helped(folder):
    return remedies(folder, {run.name: run.made for run in html.read(folder)})


def test_what_is_trained_comes_first_and_is_measured(done):
    folder, result = done
    state = json.loads((folder / "out" / STUDY).read_text())["runs"]
    assert [run["status"] for run in state.values()] == ["finished"] * 3
    assert (state["sft"]["probe"], state["sft"]["models"]) == ("tune", ["tiny-mdlm"])
    assert "remedies: changes" in result.output
    one, two = (
        pd.read_csv(folder / "out" / name / "masks__tiny-mdlm.csv")
        for name in ("masks", "masks-tuned")
    )
    assert (one.logp_right != two.logp_right).any()
    page = (folder / "out" / "report.html").read_text()
    assert "Did it help?" in page
    log = pd.read_csv(folder / "out" / "sft" / "training.csv")
    arms = pd.read_csv(folder / "out" / "remedies-arms.csv")
    assert arms.loc[0, ["name", "objective", "training_steps"]].tolist() == ["sft", "sft", 2]
    assert arms.loc[0, "trained_tokens"] == log.trained_tokens.sum()
    assert "patterns_seen" not in arms  # this objective has no patterns


@pytest.mark.parametrize(("block", "seen"), [(2, 1), (4, 1), (8, 40 / 255), (16, 40 / 65535)])
def test_how_many_patterns_of_a_block_had_their_turn(block, seen):
    config = {"objective": "blockwise", "options": {"block": block, "needs_slack": False}}
    config |= {"recipe": {"steps": 10, "batch": 4}}
    assert _patterns_seen(config) == pytest.approx(seen)


def test_what_is_finished_is_not_trained_again(done, monkeypatch):
    folder, _ = done
    before = {path: path.stat().st_mtime_ns for path in (folder / "out" / "sft").iterdir()}
    monkeypatch.setattr("mdlm_probe.cli.commands.report.write", lambda *args: None)
    call("study", folder / "mine.yaml", "-o", folder / "out")
    after = {path: path.stat().st_mtime_ns for path in (folder / "out" / "sft").iterdir()}
    assert {p for p in before if before[p] != after[p]} <= {folder / "out" / "sft" / "run.lock"}


def test_other_settings_of_a_finished_tuning_are_refused_by_file(done, tmp_path):
    folder, _ = done
    runs = STUDY_OF["runs"] | {"sft": STUDY_OF["runs"]["sft"] | {"steps": 3}}
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps(STUDY_OF | {"runs": runs}))
    result = call("study", path, "-o", folder / "out", code=1)
    assert "sft/mdlm_probe.json" in result.output
    assert "2 -> 3" in result.output


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_a_planted_change_is_found_and_nothing_else(done, tmp_path, lost):
    """Three relevant tasks of 6 items each, at 0 and 20 masks: right everywhere, then not."""
    folder = shutil.copytree(done[0] / "out", tmp_path / "out")
    for name in ("masks", "masks-tuned"):
        path = folder / name / "masks__tiny-mdlm.csv"
        pd.read_csv(path, keep_default_na=False).assign(correct=1).to_csv(path, index=False)

    def change(rows):
        wrong = (rows["amount"] == 20) & (rows["item"] < lost)
        rows.loc[wrong, "correct"] = 0

    found = planted(folder, change).changes
    lines = found[(found["measure"] == "accuracy (points)") & (found["probe"] == "masks")]
    at = lines.set_index("at")
    assert at.loc["all", "difference"] == pytest.approx(-100 * lost / 6)
    with_masks = at[at.index.str.contains("amount 20")]
    assert with_masks["difference"].tolist() == pytest.approx([-100 * lost / 3])
    without = at[at.index.str.contains("amount 0")]
    assert without["difference"].tolist() == [0]
    assert (without["before"] == 100).all()


@pytest.mark.parametrize(
    ("better", "difference", "effect"),
    [("more", 1, "better"), ("less", 1, "worse"), ("", 1, "changed"), ("less", -1, "better")],
)
def test_what_a_certain_change_is_called(better, difference, effect):
    lines = pd.DataFrame({"measure": "m", "difference": difference, "p_holm": [0.01, 0.05]})
    effects = _effects(lines, {"m": better})
    assert effects == [effect, ""]
    arm = Arm("sft", "sft", "m", 1, 1, 1.0, None)
    found = _listed([arm], lines.assign(effect=effects, remedy="sft", at="all")).iloc[0]
    assert {name: found[name] for name in EFFECTS if found[name]} == {effect: 1}
    assert found["measures"] == 2


def test_an_adapter_is_known_by_its_weights_not_by_its_folder(done, tmp_path):
    """Moved, its measurement is its own still; trained anew in the same place, it isn't."""
    folder = shutil.copytree(done[0] / "out", tmp_path / "out")
    known = json.loads((folder / "sft" / _slack.FILE).read_text())
    assert known["adapter_hash"] == _slack.adapter_hash(folder / "sft")
    assert len(helped(folder).changes)

    run = folder / "masks-tuned" / "run.json"
    run.write_text(run.read_text().replace('/sft"', '/elsewhere"'))
    assert len(helped(folder).changes)
    run.write_text(run.read_text().replace('/elsewhere"', '/sft"'))

    weights = folder / "sft" / _slack.ADAPTER
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    (folder / "sft" / _slack.FILE).write_text(
        json.dumps({key: said for key, said in known.items() if key != "adapter_hash"})
    )
    found = helped(folder)
    assert not len(found.changes)
    (note,) = [note for note in found.notes if "masks-tuned" in note]
    assert "of other weights than 'sft' has now" in note


def test_a_tuning_that_cannot_begin_is_told_first_and_the_rest_goes_on(tmp_path):
    path = tmp_path / "mine.yaml"
    sft = STUDY_OF["runs"]["sft"] | {"data": str(tmp_path / "none.jsonl")}
    few = {"masks": [0], "distractors": 0, "tasks": "animal", "limit": 1, "filler": "mask"}
    runs = {"base": {"probe": "masks", **few}, "sft": sft}
    runs["tuned"] = {"probe": "masks", "adapter": "sft", **few}
    path.write_text(json.dumps(STUDY_OF | {"runs": runs}))
    study, _ = study_file.load(str(path), tmp_path / "out")
    turns = []

    class Progress:
        def begin(self, run, *rest):
            turns.append(run)
            return self

        def __getattr__(self, name):
            return lambda *args: None

    found = studies.execute(study, tmp_path / "out", Progress())
    came = {one.part.name: one for one in found}
    assert {name: one.status for name, one in came.items()} == {
        "sft": "failed",
        "base": "finished",
        "tuned": "failed",
    }
    assert turns[0] == "sft"
    assert "none.jsonl' is no file" in came["sft"].error
    assert str(tmp_path / "out" / "sft") in came["tuned"].error
