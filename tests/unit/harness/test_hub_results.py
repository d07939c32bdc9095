"""lm-eval's results on the Hub: what goes there, and every way in which it can't."""

import json

import fake_hub
import pytest
from commands import call

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.harness import hub_results

TASK = ("--model", "tiny-mdlm", "--tasks", "suite_animal_words", "--limit", "2", "--quiet")
REPO = "me/lm-eval-results-private"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with fake_hub.served(monkeypatch, tmp_path) as found:
        yield found


@pytest.fixture(autouse=True)
def _no_card(monkeypatch):
    """lm-eval's card reads the results back through `datasets`, from huggingface.co alone."""

    def card(tracker):
        tracker.api.list_repo_files(repo_id=REPO, repo_type="dataset")

    monkeypatch.setattr("lm_eval.loggers.EvaluationTracker.recreate_metadata_card", card)


def evaluated(folder, arguments, *more, code=0):
    return call("eval", *TASK, *more, "-o", folder, "--hf_hub_log_args", arguments, code=code)


def test_results_and_samples_go_to_private_repositories(hub, tmp_path):
    asked = "push_results_to_hub=True,push_samples_to_hub=True,details_repo_name=details"
    said = evaluated(tmp_path / "run", asked, "--log_samples").output
    repo = "me/details-private"
    assert hub.repos[repo]["private"]
    kinds = {name.rpartition("/")[2].partition("_20")[0] for name in hub.files(repo)}
    assert kinds == {"results", "samples_suite_animal_words"}
    (written,) = (tmp_path / "run" / "tiny-mdlm").glob("results_*.json")
    assert hub.files(repo)[f"tiny-mdlm/{written.name}"] == written.read_bytes()
    assert fake_hub.TOKEN not in said
    assert not [p for p in (tmp_path / "run").rglob("*") if _holds(p, fake_hub.TOKEN)]
    told = json.loads((tmp_path / "run" / "run.json").read_text())["eval__tiny-mdlm"]
    assert told["evaluations"][0]["options"]["hf_hub_log_args"]["details_repo_name"] == "details"


def _holds(path, text):
    return path.is_file() and text.encode() in path.read_bytes()


def test_nothing_is_pushed_unless_asked(hub, tmp_path):
    call("eval", *TASK, "-o", tmp_path)
    assert not hub.asked


def test_an_owner_can_be_given_and_a_repository_that_is_there_is_used(hub, tmp_path):
    hub.add("org/mine-private", private=True, files={"old": b"x"})
    evaluated(tmp_path, "hub_results_org=org,results_repo_name=mine,push_results_to_hub=True")
    assert len(hub.files("org/mine-private")) == 2


def test_a_public_repository_is_refused_before_anything_is_measured(hub, tmp_path):
    hub.add(REPO, private=False)
    said = evaluated(tmp_path / "run", "push_results_to_hub=True", code=None).output
    assert "is on the Hub already, and public" in said
    assert "public_repo=True" in said
    assert not (tmp_path / "run").exists()


def test_without_a_token_nothing_is_measured(monkeypatch, tmp_path):
    with fake_hub.served(monkeypatch, tmp_path, token="") as hub:
        said = evaluated(tmp_path / "run", "push_results_to_hub=True", code=None).output
        assert "there is no token" in said
        assert not hub.asked
    assert not (tmp_path / "run").exists()


def test_without_a_network_nothing_is_measured(monkeypatch, tmp_path):
    with fake_hub.served(monkeypatch, tmp_path) as hub:
        closed = hub.url
    fake_hub.pointed_at(closed, monkeypatch, tmp_path)
    said = evaluated(tmp_path / "run", "push_results_to_hub=True", code=None).output
    assert "--hf_hub_log_args failed" in said
    assert not (tmp_path / "run").exists()


def test_a_push_that_fails_is_an_error_after_all_is_written(hub, tmp_path):
    """lm-eval itself would only log it."""
    hub.broken = "/commit/main"
    said = evaluated(tmp_path, "push_results_to_hub=True", code=None).output
    assert "--hf_hub_log_args failed" in said
    assert fake_hub.TOKEN not in said
    assert (tmp_path / "eval__tiny-mdlm.csv").exists()
    entry = json.loads((tmp_path / "run.json").read_text())["eval__tiny-mdlm"]
    assert entry["status"] == "finished"
    hub.broken = ""
    evaluated(tmp_path, "push_results_to_hub=True")
    assert hub.files(REPO)


def test_a_card_that_fails_is_said_and_nothing_else(hub, tmp_path, monkeypatch):
    hub.broken = "/tree/main"
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client waits before it asks again
    said = evaluated(tmp_path, "push_results_to_hub=True")
    assert hub.files(REPO)
    assert said.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"token": "hf_x"}, "a token on the command line"),
        ({"push_result_to_hub": True}, "unknown argument 'push_result_to_hub'"),
        ({"output_path": "x"}, "unknown argument 'output_path'"),
        ({"push_results_to_hub": "yes"}, "push_results_to_hub=yes"),
        ({"push_results_to_hub": True, "hub_results_org": 5}, "hub_results_org=5"),
        ({"hub_results_org": "me"}, "pushes nothing"),
        ({"push_samples_to_hub": True}, "the files of --log_samples"),
    ],
)
def test_arguments_that_can_not_be_meant_are_refused(arguments, found):
    with pytest.raises(ProbeError, match=found) as error:
        hub_results.check(arguments, log_samples=False)
    assert error.value.option == "hf_hub_log_args"
    assert "hf_x" not in str(error.value)
