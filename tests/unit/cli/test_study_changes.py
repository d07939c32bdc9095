"""What a command line changes in a study's file."""

import pytest
from commands import call

from mdlm_probe.cli import study_file
from mdlm_probe.cli.study_changes import StudyChanges
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import shipped

FILE = """
model: [tiny-mdlm, tiny-arlm]
limit: 9
runs:
  locality: {positions: [0], tasks: verb-smallest}
  tails: {probe: masks, model: oracle, masks: [0, 5], limit: 3, tasks: verb-smallest}
"""


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "mine.yaml"
    made.write_text(FILE)
    return made


def loaded(path, *given):
    return study_file.load(str(path), changes=StudyChanges(*given))[0]


def test_models_stand_in_place_of_all(path):
    study = loaded(path, ("mine=tiny-mdlm", "oracle"))
    assert [part.models for part in study.parts] == [["mine", "oracle"]] * 2


def test_an_option_is_set_in_all_runs_that_have_it(path):
    study = loaded(path, (), ("limit=2", "masks=0,7", "batch-tokens=400"))
    locality, tails = (part.plans[0] for part in study.parts)
    assert (locality.options["limit"], tails.options["limit"]) == (2, 2)
    assert "masks" in locality.options
    assert tails.options["masks"] == ("0", "7")
    assert (locality.job.batch_tokens, tails.job.batch_tokens) == (400, 400)
    assert study.source.endswith("\n# --set limit=2\n# --set masks=0,7\n# --set batch-tokens=400\n")


def test_without_changes_the_source_is_the_file(path):
    assert loaded(path).source == FILE


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (((), ("limt=2",)), "did you mean 'limit'"),
        (((), ("limit",)), "--set is 'limit'"),
        (((), ("limit=",)), "--set is 'limit='"),
        (((), ("limit=x",)), "limit"),
        ((("no-such-model",),), "no-such-model"),
    ],
)
def test_what_can_not_be_changed_so(path, given, said):
    with pytest.raises(ProbeError, match=said):
        loaded(path, *given)


def test_a_training_has_one_model(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("runs: {ma: {tune: sft, model: tiny-mdlm}, masks: {model: tiny-mdlm}}")
    (tuned, measured) = loaded(path, ("mine=tiny-mdlm-adapted",)).parts
    assert tuned.tuning.model == "mine=tiny-mdlm-adapted"
    assert measured.models == ["mine"]
    with pytest.raises(ProbeError, match="a training has one"):
        loaded(path, ("tiny-mdlm", "tiny-mdlm-adapted"))


def test_models_in_a_file_may_have_names(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model: [{name: a, path: tiny-mdlm}, oracle]\nruns: {locality: {limit: 1}}")
    assert loaded(path).parts[0].models == ["a", "oracle"]
    path.write_text("model: [{name: a}]\nruns: {locality: {limit: 1}}")
    with pytest.raises(ProbeError, match=r"line 1, field 'model\.0'"):
        loaded(path)


def test_shipped_studies_are_listed_shown_and_copied(tmp_path):
    listed = call("study", "--list").output
    for name in shipped.studies():
        assert f"\n{name} " in listed
        assert shipped.about(name) in listed
    text = (shipped.folder() / "smoke.yaml").read_text()
    assert call("study", "smoke", "--show").output == text
    call("study", "smoke", "--copy", tmp_path)
    assert (tmp_path / "smoke.yaml").read_text() == text
    again = call("study", "smoke", "--copy", tmp_path, code=1)
    assert "smoke.yaml is there already" in again.output
    assert "study --list" in call("study", code=2).output


def test_a_plan_takes_the_same_changes(path):
    told = call("plan", path, "--model", "oracle", "--set", "limit=2").output
    assert "oracle" in told
    assert "tiny" not in told
