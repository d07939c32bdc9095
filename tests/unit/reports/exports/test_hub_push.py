"""Pushing a card: what others wrote in a README stays, and no token is ever shown."""

import pytest
import yaml
from commands import call
from huggingface_hub import RepoCard

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.reports.exports import hub_push

pytestmark = pytest.mark.usefixtures("reports_once")

RESULT = {
    "task": {"type": "t"},
    "dataset": {"type": "mdlm-probe/few-shot", "name": "n"},
    "metrics": [{"type": "accuracy", "value": 0.5}],
}
OTHER = RESULT | {"dataset": {"type": "gsm8k", "name": "g"}}
TOKEN = "hf_secretsecretsecret"


def readme(body, results, name="m", **head):
    index = {"model-index": [{"name": name, "results": results}]} if results else {}
    metadata = yaml.safe_dump(head | index, sort_keys=False)
    return f"---\n{metadata}---\n{body}"


CARD = readme("\n## Sensitivity to masks\n\nnew\n", [RESULT])


class FakeHub:
    """A repository, as `HfApi` shows it."""

    def __init__(self, folder, text=None, error=None):
        self.path, self.error, self.files, self.commits = folder / "README.md", error, {}, []
        if text is not None:
            self.path.write_text(text)

    def file_exists(self, repo_id, filename):
        return self.path.exists()

    def hf_hub_download(self, repo_id, filename):
        return str(self.path)

    def create_commit(self, repo_id, operations, *, commit_message):
        if self.error:
            raise self.error
        self.commits.append((repo_id, commit_message))
        self.files = {one.path_in_repo: one.path_or_fileobj for one in operations}
        self.path.write_bytes(self.files["README.md"])


def test_a_readme_keeps_what_others_wrote(tmp_path):
    old = readme("# Mine\n\ntext\n", [OTHER, RESULT | {"metrics": []}], "theirs", license="mit")
    hub = FakeHub(tmp_path, old)
    said = hub_push.push({"card-m.md": CARD.encode(), "card-m-masks.png": b"x"}, "me/m", hub)
    assert said == ["pushed README.md, card-m-masks.png to https://huggingface.co/me/m"]
    assert hub.files["card-m-masks.png"] == b"x"
    assert [repo for repo, _ in hub.commits] == ["me/m"]
    made = RepoCard(hub.path.read_text())
    assert made.text.startswith("# Mine\n\ntext")
    assert made.text.count("new") == made.text.count(hub_push.BEGIN) == 1
    head = made.data.to_dict()
    assert head["license"] == "mit"
    assert head["model-index"] == [{"name": "theirs", "results": [OTHER, RESULT]}]


def test_a_second_push_replaces_the_section_where_it_stands(tmp_path):
    hub = FakeHub(tmp_path, "# Mine\n")
    hub_push.push({"card-m.md": CARD.encode()}, "me/m", hub)
    hub.path.write_text(hub.path.read_text() + "\nwritten since\n")
    hub_push.push({"card-m.md": CARD.replace("new", "newer").encode()}, "me/m", hub)
    made = RepoCard(hub.path.read_text())
    parts = ["# Mine", hub_push.BEGIN, "newer", hub_push.END, "written since"]
    places = [made.text.index(part) for part in parts]
    assert places == sorted(places)
    assert made.text.count("Sensitivity") == 1
    assert made.data.to_dict()["model-index"] == [{"name": "m", "results": [RESULT]}]


def test_a_repository_without_a_readme_gets_one(tmp_path):
    hub = FakeHub(tmp_path)
    hub_push.push({"card-m.md": CARD.encode()}, "me/m", hub)
    made = RepoCard(hub.path.read_text())
    assert made.text.strip().startswith(hub_push.BEGIN)
    assert made.data.to_dict()["model-index"][0]["name"] == "m"


def test_the_hubs_refusal_is_an_error_without_the_token(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub = FakeHub(tmp_path, "# Mine\n", RuntimeError(f"401 for Bearer {TOKEN}\nmore"))
    with pytest.raises(ProbeError) as caught:
        hub_push.push({"card-m.md": CARD.encode()}, "me/m", hub)
    assert TOKEN not in str(caught.value)
    assert "401 for Bearer ***" in str(caught.value)
    assert "HF_TOKEN" in caught.value.hint
    assert hub.path.read_text() == "# Mine\n"


def test_several_models_have_no_one_card(tmp_path):
    with pytest.raises(ProbeError, match=r"one model's card, and here are a\.md, b\.md"):
        hub_push.push({"a.md": b"", "b.md": b""}, "me/m", FakeHub(tmp_path))


def test_nothing_is_pushed_unless_asked_and_then_by_export(run, tmp_path, monkeypatch):
    hub = FakeHub(tmp_path)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    words = ["export", run, "--to", "card,markdown", "-o", tmp_path / "out"]
    call(*words)
    assert not hub.commits
    said = call(*words, "--push", "me/m").output
    assert "pushed README.md to https://huggingface.co/me/m" in said
    assert list(hub.files) == ["README.md"]  # nothing of other formats
    assert "Masks after the question" in hub.path.read_text()
